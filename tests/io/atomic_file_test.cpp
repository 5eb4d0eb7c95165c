// The atomic writer, with the system calls under it made to fail: this file defines pwrite, fsync, close and rename for
// the whole program; they pass on to libc unless a fault is set.
#include "quantal/io/atomic_file.hpp"

#include <dlfcn.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <sstream>

#include "io/temp_dir.hpp"
#include "quantal/io/file.hpp"

namespace {

enum class fault { none, write_error, short_writes, interrupted, fsync_error, close_error, rename_error };
fault current = fault::none;
int countdown = 0;  // calls that still succeed
int error_code = 0;
int injected = 0;  // how often a fault was delivered

template <class F>
F next(const char* name) {
  return reinterpret_cast<F>(::dlsym(RTLD_NEXT, name));
}

bool strikes(fault kind) {
  if (current != kind || countdown-- > 0) return false;
  ++injected;
  errno = error_code;
  return true;
}

}  // namespace

extern "C" ssize_t pwrite(int fd, const void* data, size_t bytes, off_t offset) {
  static const auto real = next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  if (strikes(fault::write_error)) return -1;
  if (current == fault::interrupted && injected < 3) {
    ++injected;
    errno = EINTR;
    return -1;
  }
  if (current == fault::short_writes && bytes > 1) {
    ++injected;
    return real(fd, data, 1, offset);
  }
  return real(fd, data, bytes, offset);
}
extern "C" int fsync(int fd) {
  static const auto real = next<int (*)(int)>("fsync");
  return strikes(fault::fsync_error) ? -1 : real(fd);
}
extern "C" int close(int fd) {
  static const auto real = next<int (*)(int)>("close");
  const int done = real(fd);
  return strikes(fault::close_error) ? -1 : done;
}
extern "C" int rename(const char* from, const char* to) noexcept {
  static const auto real = next<int (*)(const char*, const char*)>("rename");
  return strikes(fault::rename_error) ? -1 : real(from, to);
}

using namespace quantal;
using namespace quantal::io;
using quantal::test::temp_dir;

namespace {

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::size_t entries(const std::string& path) {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(path)) ++n;
  return n;
}

struct with_fault {
  with_fault(fault kind, int code, int after = 0) {
    current = kind;
    error_code = code;
    countdown = after;
    injected = 0;
  }
  ~with_fault() { current = fault::none; }
};

}  // namespace

TEST_CASE("P2_a_file_appears_complete_or_not_at_all") {
  temp_dir dir;
  const std::string path = dir / "out";
  auto file = atomic_file::create(path);
  REQUIRE(file);
  REQUIRE(file->write("hello "));
  CHECK_FALSE(std::filesystem::exists(path));
  REQUIRE(file->write("world"));
  REQUIRE(file->write_at(0, "J", 1));
  CHECK(file->written() == 11);
  REQUIRE(file->commit());
  CHECK(slurp(path) == "Jello world");
  CHECK(entries(dir.path()) == 1);
  CHECK(file->write("more").failure().code == status::state);
  CHECK(file->commit().failure().code == status::state);
}

TEST_CASE("P3_an_abandoned_write_leaves_the_old_content") {
  temp_dir dir;
  const std::string path = dir / "out";
  REQUIRE(write_file(path, std::string_view("old")));
  {
    auto file = atomic_file::create(path);
    REQUIRE(file);
    REQUIRE(file->write("half of the new"));
  }
  CHECK(slurp(path) == "old");
  CHECK(entries(dir.path()) == 1);
}

TEST_CASE("P2_output_equals_input_and_permissions_stay") {
  temp_dir dir;
  const std::string path = dir / "model";
  REQUIRE(write_file(path, std::string_view("input")));
  REQUIRE(::chmod(path.c_str(), 0640) == 0);
  auto out = atomic_file::create(path);
  REQUIRE(out);
  auto in = read_file(path);  // still the old content
  REQUIRE(in);
  CHECK(in->size == 5);
  REQUIRE(out->write("output"));
  REQUIRE(out->commit());
  CHECK(slurp(path) == "output");
  struct stat facts {};
  REQUIRE(::stat(path.c_str(), &facts) == 0);
  CHECK((facts.st_mode & 0777) == 0640);
}

TEST_CASE("P2_faults_of_the_system_leave_the_old_file") {
  temp_dir dir;
  const std::string path = dir / "out";
  REQUIRE(write_file(path, std::string_view("old")));
  const auto fails = [&](fault kind, int code, int after) {
    with_fault guard(kind, code, after);
    auto done = [&]() -> result<void> {
      QUANTAL_TRY(file, atomic_file::create(path));
      QUANTAL_CHECK(file.write("first"));
      QUANTAL_CHECK(file.write("second"));
      return file.commit();
    }();
    const bool struck = injected > 0;
    current = fault::none;
    INFO(static_cast<int>(kind) << " after " << after);
    CHECK(struck);
    REQUIRE_FALSE(done);
    CHECK(done.failure().code == status::io);
    CHECK(done.failure().where == path);
    CHECK(slurp(path) == "old");
    CHECK(entries(dir.path()) == 1);
  };
  fails(fault::write_error, ENOSPC, 0);
  fails(fault::write_error, ENOSPC, 1);
  fails(fault::write_error, EIO, 0);
  fails(fault::fsync_error, EIO, 0);
  fails(fault::close_error, EDQUOT, 0);
  fails(fault::rename_error, EACCES, 0);
}

TEST_CASE("P2_short_writes_and_EINTR_are_continued") {
  temp_dir dir;
  const std::string text(1000, 'q');
  for (const fault kind : {fault::short_writes, fault::interrupted}) {
    with_fault guard(kind, EINTR);
    REQUIRE(write_file(dir / "out", std::string_view(text)));
    CHECK(injected > 1);
    CHECK(slurp(dir / "out") == text);
  }
  with_fault guard(fault::fsync_error, EINTR, 0);
  countdown = 0;
  error_code = EINVAL;  // a file system that cannot fsync
  CHECK(write_file(dir / "out", std::string_view("x")));
}

TEST_CASE("P2_outputs_that_cannot_be_written") {
  temp_dir dir;
  std::filesystem::create_directory(dir / "directory");
  REQUIRE(write_file(dir / "target", std::string_view("old")));
  std::filesystem::create_symlink(dir / "target", dir / "link");
  CHECK(atomic_file::create(dir / "directory").failure().code == status::io);
  CHECK(atomic_file::create(dir / "directory/").failure().code == status::io);
  CHECK(atomic_file::create(dir / "link").failure().code == status::io);
  CHECK(atomic_file::create(dir / "none/out").failure().code == status::not_found);
  CHECK(atomic_file::create("/dev/null").failure().code == status::io);
  CHECK(atomic_file::create("").failure().code == status::io);
  CHECK(atomic_file::create(std::string("a\0b", 3)).failure().code == status::io);
  CHECK(slurp(dir / "target") == "old");
  if (::geteuid() != 0) {  // root may write anywhere
    REQUIRE(::chmod((dir / "directory").c_str(), 0500) == 0);
    CHECK(atomic_file::create(dir / "directory/out").failure().code == status::io);
    REQUIRE(::chmod((dir / "target").c_str(), 0400) == 0);
    CHECK(atomic_file::create(dir / "target").failure().code == status::io);
  }
  const std::string long_name(240, 'n');
  CHECK(write_file(dir / long_name, std::string_view("x")));
}
