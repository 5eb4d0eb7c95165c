#include "quantal/io/digest.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

using namespace quantal::io;

namespace {

std::string hex(digest::kind k, const std::string& text, std::size_t piece) {
  digest d(k);
  for (std::size_t i = 0; i < text.size(); i += piece) d.add(text.data() + i, std::min(piece, text.size() - i));
  return d.hex();
}

}  // namespace

// Answers: FIPS 180-4 examples (NIST "Examples with Intermediate Values"), and Python's hashlib for the lengths
// around a block.
TEST_CASE("digests give the known answers, in whichever pieces the bytes come") {
  const std::string two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{64}, std::size_t{1000000}}) {
    CHECK(hex(digest::sha256, "", piece) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(hex(digest::sha256, "abc", piece) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(hex(digest::sha256, two_blocks, piece) == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(hex(digest::sha1, "", piece) == "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    CHECK(hex(digest::sha1, "abc", piece) == "a9993e364706816aba3e25717850c26c9cd0d89d");
    CHECK(hex(digest::sha1, two_blocks, piece) == "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    CHECK(hex(digest::sha256, std::string(55, 'x'), piece) ==
          "d5e285683cd4efc02d021a5c62014694958901005d6f71e89e0989fac77e4072");
    CHECK(hex(digest::sha256, std::string(56, 'x'), piece) ==
          "04c26261370ee7541549d16dee320c723e3fd14671e66a099afe0a377c16888e");
    CHECK(hex(digest::sha256, std::string(63, 'x'), piece) ==
          "75220b47218278e656f2013bb8f0c455a25eaf01e86c64924e9d48d89776d6f2");
    CHECK(hex(digest::sha256, std::string(64, 'x'), piece) ==
          "7ce100971f64e7001e8fe5a51973ecdfe1ced42befe7ee8d5fd6219506b5393c");
    CHECK(hex(digest::sha1, std::string(64, 'x'), piece) == "bb2fa3ee7afb9f54c6dfb5d021f14b1ffe40c163");
  }
  CHECK(hex(digest::sha256, std::string(1000000, 'a'), 997) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}
