// Reading: bounded files, the cursor, the path resolver.
#include "quantal/io/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "io/temp_dir.hpp"
#include "quantal/io/path.hpp"
#include "quantal/io/reader.hpp"

using namespace quantal;
using namespace quantal::io;
using quantal::test::temp_dir;

namespace {

void put(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string text_of(const file_bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data), bytes.size};
}

}  // namespace

TEST_CASE("F1_a_file_is_read_whole_empty_files_too") {
  temp_dir dir;
  put(dir / "a", "hello");
  put(dir / "empty", "");
  auto a = read_file(dir / "a");
  REQUIRE(a);
  CHECK(text_of(*a) == "hello");
  CHECK(reinterpret_cast<std::uintptr_t>(a->data) % 64 == 0);
  auto empty = read_file(dir / "empty");
  REQUIRE(empty);
  CHECK(empty->size == 0);
  CHECK(read_file(dir / "a", 5));
  CHECK(read_file(dir / "a", 4).failure().code == status::limit);
}

TEST_CASE("what is not a regular file is refused without blocking") {
  temp_dir dir;
  CHECK(read_file(dir / "absent").failure().code == status::not_found);
  CHECK(read_file(dir / "absent/below").failure().code == status::not_found);
  CHECK(read_file(dir.path()).failure().code == status::io);
  CHECK(read_file("/dev/zero").failure().code == status::io);
  REQUIRE(::mkfifo((dir / "fifo").c_str(), 0600) == 0);
  CHECK(read_file(dir / "fifo").failure().code == status::io);
  CHECK(read_file("").failure().code == status::not_found);
  CHECK(read_file(std::string("a\0b", 3)).failure().code == status::path);
}

TEST_CASE("F2_a_file_that_changes_while_it_is_read") {
  temp_dir dir;
  put(dir / "a", std::string(10000, 'x'));
  auto file = random_file::open(dir / "a");
  REQUIRE(file);
  char buffer[10000];
  SECTION("shrinks") {
    REQUIRE(::truncate((dir / "a").c_str(), 100) == 0);
    CHECK(file->read(0, buffer, 10000).failure().code == status::io);
    CHECK(file->read(0, buffer, 100));
  }
  SECTION("grows: the snapshot counts") {
    put(dir / "a", std::string(20000, 'y'));
    CHECK(file->size() == 10000);
    CHECK(file->read(0, buffer, 10000));
  }
}

TEST_CASE("F6_reads_beyond_the_end_do_not_allocate") {
  temp_dir dir;
  put(dir / "a", "0123456789");
  auto file = random_file::open(dir / "a");
  REQUIRE(file);
  CHECK(text_of(*file->read(3, 4)) == "3456");
  CHECK(file->read(10, 0));
  CHECK(file->read(11, 0).failure().code == status::model_syntax);
  CHECK(file->read(3, 8).failure().code == status::model_syntax);
  CHECK(file->read(3, UINT64_MAX).failure().code == status::model_syntax);
  CHECK(file->read(UINT64_MAX, 2).failure().code == status::model_syntax);
  CHECK(make_memory(UINT64_MAX).failure().code == status::limit);
}

TEST_CASE("the cursor reads little endian and stops at the end") {
  const unsigned char raw[] = {1, 2, 3, 4, 5, 6, 7, 0x88, 9};
  byte_reader in(std::as_bytes(std::span(raw)));
  std::uint16_t a = 0;
  std::int8_t b = 0;
  std::uint32_t c = 0;
  REQUIRE(in.get(a));
  CHECK(a == 0x0201);
  REQUIRE(in.get(c));
  CHECK(c == 0x06050403);
  CHECK_FALSE(in.get(c));  // 3 bytes left
  CHECK(c == 0x06050403);
  CHECK(in.position() == 6);
  REQUIRE(in.skip(1));
  REQUIRE(in.get(b));
  CHECK(b == -120);
  std::span<const std::byte> rest;
  CHECK_FALSE(in.get_bytes(UINT64_MAX, rest));
  CHECK_FALSE(in.get_bytes(2, rest));
  CHECK(in.get_bytes(1, rest));
  CHECK(in.at_end());
  CHECK_FALSE(in.seek(10));
  CHECK(in.seek(9));
  std::uint64_t d = 0;
  REQUIRE(in.seek(0));
  REQUIRE(in.get(d));
  CHECK(d == 0x8807060504030201u);
}

TEST_CASE("F7_relative_names_that_leave_or_deceive_are_refused") {
  for (const char* bad : {"", "/etc/passwd", "../a", "a/../b", "a/..", "..", "C:\\a", "C:a", "a\\..\\b", "a\nb", "a/",
                          "./", ".", "a/\x1b[31m"}) {
    INFO(bad);
    CHECK(split_relative(bad).failure().code == status::path);
  }
  CHECK(split_relative(std::string_view("a\0b", 3)).failure().code == status::path);
  CHECK(split_relative(std::string(5000, 'a')).failure().code == status::path);
  CHECK(*split_relative("./a//b..c/.d") == std::vector<std::string>{"a", "b..c", ".d"});
}

TEST_CASE("F_onnx_external_data_paths_stay_inside_their_directory") {
  temp_dir dir;
  std::filesystem::create_directories(dir / "base/sub");
  put(dir / "secret", "secret");
  put(dir / "base/sub/good", "good");
  const std::string base = dir / "base";
  auto good = open_inside(base, "sub/good");
  REQUIRE(good);
  CHECK(text_of(*good->read(0, good->size())) == "good");
  CHECK(open_inside("", "sub/good").failure().code == status::path);
  CHECK(open_inside(base, dir / "base/sub/good").failure().code == status::path);
  CHECK(open_inside(base, "../secret").failure().code == status::path);
  CHECK(open_inside(base, "sub/absent").failure().code == status::not_found);
  CHECK(open_inside(base, "absent/good").failure().code == status::not_found);
  CHECK(open_inside(dir / "absent", "good").failure().code == status::not_found);
  SECTION("links") {
    std::filesystem::create_symlink(dir / "secret", dir / "base/link");
    std::filesystem::create_symlink(dir / "base/sub/good", dir / "base/link2");
    std::filesystem::create_directory_symlink(dir.path(), dir / "base/up");
    std::filesystem::create_directory_symlink("sub", dir / "base/sublink");
    CHECK(open_inside(base, "link").failure().code == status::path);
    CHECK(open_inside(base, "link2").failure().code == status::path);
    CHECK(open_inside(base, "up/secret").failure().code == status::path);
    CHECK(open_inside(base, "sublink/good").failure().code == status::path);
    // The base itself is the user's word.
    CHECK(open_inside(dir / "base/sublink", "good"));
  }
  SECTION("hard links") {
    std::filesystem::create_hard_link(dir / "secret", dir / "base/hard");
    CHECK(open_inside(base, "hard").failure().code == status::path);
  }
  SECTION("not regular") {
    REQUIRE(::mkfifo((dir / "base/fifo").c_str(), 0600) == 0);
    CHECK(open_inside(base, "fifo").failure().code == status::path);
    CHECK(open_inside(base, "sub").failure().code == status::path);
    CHECK(open_inside(base, "sub/good/more").failure().code != status::ok);
  }
}

TEST_CASE("parts of paths") {
  CHECK(directory_of("a/b.onnx") == "a");
  CHECK(directory_of("b.onnx") == ".");
  CHECK(directory_of("/b") == "/");
  CHECK(file_name_of("a/b.onnx") == "b.onnx");
  CHECK(extension_of("a.b/c.NPZ") == "npz");
  CHECK(extension_of("a.b/c").empty());
  CHECK(extension_of(".hidden").empty());
  temp_dir dir;
  put(dir / "b", "");
  put(dir / "a", "");
  CHECK(*list_directory(dir.path()) == std::vector<std::string>{"a", "b"});
  CHECK(list_directory(dir.path(), 1).failure().code == status::limit);
  CHECK(list_directory(dir / "none").failure().code == status::not_found);
  CHECK(kind_of(dir.path()) == path_kind::directory);
  CHECK(kind_of(dir / "a") == path_kind::regular);
  CHECK(kind_of(dir / "c") == path_kind::missing);
  CHECK(kind_of("/dev/null") == path_kind::other);
}
