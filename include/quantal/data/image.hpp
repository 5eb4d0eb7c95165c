// Images as tensors: decode (png, jpg, bmp), resize, letterbox, colour, layout.
//
//   file -> 8-bit RGB or gray -> resize (bilinear) -> channel order -> value_range -> (x - mean) / std -> nchw | nhwc
//
// Resize: output pixel i samples the input at (i + 0.5) * in / out - 0.5 (half-pixel centres, clamped at the border),
// two neighbours per axis, no averaging of the pixels in between when shrinking; rounded to 8 bits. This is OpenCV's
// INTER_LINEAR and torch's interpolate(bilinear, align_corners=False); Pillow averages instead and gives softer images.
// Letterbox (Ultralytics): scale by min(H / h, W / w), centre, fill with 114; the odd pixel goes below and right.
// Gray is ITU-R 601: (19595 R + 38470 G + 7471 B + 32768) >> 16, as Pillow's "L". Alpha is dropped, EXIF orientation
// is not applied, 16-bit PNGs keep the high byte.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/data/source.hpp"

namespace quantal::data {

// 8-bit pixels, row by row, channels interleaved (1: gray, 3: RGB).
struct image {
  std::int64_t height = 0, width = 0, channels = 0;
  std::vector<std::uint8_t> pixels;
};

// Errors: data_format (not a png, jpg or bmp, damaged), limit (more than 2^28 values).
result<image> decode_image(std::span<const std::byte> bytes, const std::string& where);
image resize_bilinear(const image& from, std::int64_t height, std::int64_t width);
image letterbox(const image& from, std::int64_t height, std::int64_t width);
image with_channels(const image& from, std::int64_t channels);  // RGB -> gray, gray -> RGB

// image_options read once and joined with what the model's input says.
struct image_plan {
  std::int64_t height = 0, width = 0;  // 0: each image keeps its size
  std::int64_t channels = 3;
  bool nhwc = false, bgr = false, gray = false, letterbox = false;
  dtype type = dtype::f32;
  std::vector<float> table;  // [channels][256]: the input value of each 8-bit value
};
// Errors: usage (an option that does not read or contradicts the model), data_format (not an image model).
result<image_plan> plan_images(const ir::value_info& input, const image_options& options);
// One image's values, in the plan's layout, appended to `out` (f32; the caller converts).
void append_values(const image_plan& plan, const image& picture, std::vector<float>& out);

// Does the name end like an image file that can be read?
bool is_image_name(std::string_view name);

}  // namespace quantal::data
