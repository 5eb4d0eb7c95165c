// sha1 and sha256 (FIPS 180-4): names for content. sha256 ties calibration statistics to the model they were made
// with; sha1 is what ONNX names for external data files. Checks against mix-ups, not signatures.
//
//   digest d(digest::sha256);  d.add(bytes, n);  d.hex() == "ba7816bf..."
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace quantal::io {

class digest {
 public:
  enum kind { sha1, sha256 };
  explicit digest(kind k) noexcept;

  void add(const void* data, std::size_t bytes) noexcept;
  // Lower-case hexadecimal digits, 40 or 64. Ends the digest.
  std::string hex();

 private:
  void add_block(const unsigned char* block) noexcept;

  kind kind_;
  std::array<std::uint32_t, 8> state_{};
  std::array<unsigned char, 64> block_{};
  std::uint64_t bytes_ = 0;
};

}  // namespace quantal::io
