// The reference convolution as a filter, for conv_oracle.py.
//
//   argv: 16 numbers of the shape (in conv_shape's order), then types and zero points:
//         in (u8 s8), zero point, weights (u8 s8), zero point, out (u8 s8 s32), zero point
//   stdin: in, weights [out_c][ky][kx][in_c / groups], bias s32 [out_c], ratios f32 [out_c];   stdout: out
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "quantal/kernels/conv_desc.hpp"

using namespace quantal;

namespace {

template <class T>
std::vector<T> read(std::uint64_t count) {
  std::vector<T> values(static_cast<std::size_t>(count));
  if (std::fread(values.data(), sizeof(T), values.size(), stdin) != values.size()) std::exit(2);
  return values;
}

dtype type_named(const std::string& name) {
  return name == "u8" ? dtype::u8 : name == "s8" ? dtype::s8 : dtype::s32;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 23) return 1;
  conv_desc d;
  conv_shape& s = d.shape;
  std::int64_t* const sizes[] = {&s.batch,    &s.in_h,       &s.in_w,      &s.in_c,       &s.out_c,      &s.kernel_h,
                                 &s.kernel_w, &s.stride_h,   &s.stride_w,  &s.dilation_h, &s.dilation_w, &s.pad_top,
                                 &s.pad_left, &s.pad_bottom, &s.pad_right, &s.groups};
  int at = 1;
  for (std::int64_t* const size : sizes) *size = std::atoll(argv[at++]);
  const auto number = [&] { return std::atoi(argv[at++]); };
  d.in = type_named(argv[at++]);
  d.in_zero_point = number();
  d.weights = type_named(argv[at++]);
  d.weight_zero_point = number();
  d.out = type_named(argv[at++]);
  d.finish.requant.zero_point = number();
  std::vector<float> ratios(static_cast<std::size_t>(s.out_c), 1.0F);
  d.finish.requant.ratios = ratios.data();
  d.finish.requant.count = ratios.size();
  conv_layout l;
  if (check_conv(d, l) != status::ok) return 3;
  const std::vector<std::uint8_t> in = read<std::uint8_t>(l.in_elements),
                                  weights = read<std::uint8_t>(l.weight_elements);
  const std::vector<std::int32_t> bias = read<std::int32_t>(static_cast<std::uint64_t>(s.out_c));
  ratios = read<float>(static_cast<std::uint64_t>(s.out_c));
  d.finish.requant.ratios = ratios.data();
  std::vector<std::uint8_t> out(static_cast<std::size_t>(l.out_elements) * (d.out == dtype::s32 ? 4 : 1));
  code_tensor w{weights.data(), d.weights, {}, d.weight_zero_point};
  for (int i = 0; i < 4; ++i) w.strides[i] = l.weight_strides[i];
  const image_strides &i = l.in_strides, &o = l.out_strides;
  ref::conv(s, {in.data(), d.in, {i.image, i.row, i.pixel, 1}, d.in_zero_point}, w, bias.data(), d.finish, {}, d.out,
            out.data(), {o.image, o.row, o.pixel, 1});
  return std::fwrite(out.data(), 1, out.size(), stdout) == out.size() ? 0 : 4;
}
