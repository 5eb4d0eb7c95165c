// SHA-1 (FIPS 180-4) of an external data file, as onnx.proto names it for `checksum`. An integrity check against
// mixed-up files, not a signature: whoever can change the data file can change the model that names its digest.
#pragma once
#include <string>

#include "quantal/base/result.hpp"
#include "quantal/io/file.hpp"

namespace quantal::onnx {

// 40 lower-case hexadecimal digits. Reads the file in pieces.
result<std::string> sha1_of(const io::random_file& file);

}  // namespace quantal::onnx
