// numpy's .npy files (format 1.0, 2.0, 3.0: numpy.lib.format) and .npz archives of them.
//
//   "\x93NUMPY" major minor  header length  {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  elements
//
// Read: bool, s8..s64, u8..u64, f16, f32, f64, complex, of either byte order, C or Fortran order; what comes out is
// C order in this machine's byte order. Never: object arrays (they are pickles, and a pickle is a program), strings,
// dates, structures. The elements must fill the rest of the file exactly.
// Traps: bfloat16 and float8 arrays are saved by numpy as '|V2', '|V1' (raw bytes): refused, the type is lost. A
// Fortran-order array of rank above 1 cannot be streamed: it is read whole.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/io/stream.hpp"
#include "quantal/io/zip.hpp"
#include "quantal/tensor/buffer.hpp"

namespace quantal::io {

struct npy_header {
  dtype type = dtype::none;
  bool big_endian = false;
  bool fortran_order = false;
  shape dims;
};

// The text between the braces. Errors: model_syntax, unsupported (dtype), limit (rank), shape.
result<npy_header> parse_npy_header(std::string_view text);

class npy_reader {
 public:
  // Reads the header; the elements are read on demand. Errors name the stream.
  static result<npy_reader> open(std::unique_ptr<byte_stream> stream);

  const npy_header& header() const noexcept { return header_; }
  dtype type() const noexcept { return header_.type; }
  const shape& dims() const noexcept { return header_.dims; }
  const std::string& name() const noexcept { return stream_->name(); }
  std::uint64_t elements_left() const noexcept { return left_; }
  // The next `elements` in C order. With the last ones the stream's checksum is verified.
  result<void> read(void* out, std::uint64_t elements);
  // The next elements as a tensor of these dimensions; all of it: read_tensor(dims()).
  result<tensor_buffer> read_tensor(const shape& dims);

 private:
  npy_reader() = default;
  result<void> load_fortran();
  std::unique_ptr<byte_stream> stream_;
  npy_header header_;
  std::uint64_t left_ = 0;
  tensor_buffer whole_;  // a Fortran-order array, converted
};

result<tensor_buffer> read_npy(const std::string& path);
result<void> write_npy(const std::string& path, const tensor_buffer& value);

// An .npz archive: arrays by name.
class npz_file {
 public:
  // Errors: as zip_archive; model_syntax where an entry is not an .npy or a name repeats.
  static result<npz_file> open(const std::string& path);
  static result<npz_file> open(std::shared_ptr<const random_file> file);
  // Names without ".npy", in the archive's order.
  const std::vector<std::string>& names() const noexcept { return names_; }
  bool has(std::string_view name) const noexcept;
  result<npy_reader> array(std::string_view name) const;

 private:
  explicit npz_file(zip_archive archive) : archive_(std::move(archive)) {}
  zip_archive archive_;
  std::vector<std::string> names_;
};

using named_arrays = std::vector<std::pair<std::string, tensor_buffer>>;
result<named_arrays> read_npz(const std::string& path);
// Atomic. bf16 and f8 types, which numpy does not have, are written as f32; s4, s2 as s8, u4, u2 as u8. Errors:
// unsupported (strings), argument (a name repeats), io.
result<void> write_npz(const std::string& path, const named_arrays& arrays);

}  // namespace quantal::io
