// For npz_numpy_test.py: copies arrays through our reader and writer.
//   npz_tool copy FROM TO     (.npz or .npy each)      exit code 0, or prints "<status> <message>" and returns 1
#include <cstdio>
#include <string>

#include "quantal/io/npy.hpp"
#include "quantal/io/path.hpp"

using namespace quantal;

static result<void> copy(const std::string& from, const std::string& to) {
  if (io::extension_of(from) == "npy") {
    QUANTAL_TRY(value, io::read_npy(from));
    return io::write_npy(to, value);
  }
  QUANTAL_TRY(arrays, io::read_npz(from));
  return io::write_npz(to, arrays);
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const auto done = copy(argv[2], argv[3]);
  if (done) return 0;
  std::printf("%d %s\n", static_cast<int>(done.failure().code), done.failure().message().c_str());
  return 1;
}
