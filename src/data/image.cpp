#include "quantal/data/image.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include "quantal/io/path.hpp"
#include "quantal/io/text.hpp"

#include "stb.hpp"

namespace quantal::data {

namespace {

constexpr std::int64_t most_values = std::int64_t{1} << 28;
constexpr std::uint8_t letterbox_grey = 114;

error bad_option(const char* option, const std::string& value, const char* form) {
  return {status::usage, std::string("cannot read ") + option + " " + io::quote(value), "",
          std::string("write it as ") + form};
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(io::trim(text.substr(0, end)));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

result<void> read_size(const std::string& text, image_plan& plan) {
  const auto parts = split(text, 'x');
  const auto height = io::parse_int(parts[0]);
  const auto width = parts.size() == 1 ? height : io::parse_int(parts[1]);
  if (parts.size() > 2 || !height || !width || *height < 1 || *width < 1 || *height > 65535 || *width > 65535) {
    return bad_option("--imgsz", text, "640 or 480x640 (height x width)");
  }
  plan.height = *height;
  plan.width = *width;
  return {};
}

// One number for all channels, or one per channel.
result<std::vector<double>> read_numbers(const char* option, const std::string& text, std::int64_t channels,
                                         double fallback) {
  std::vector<double> values;
  if (text.empty()) return std::vector<double>(static_cast<std::size_t>(channels), fallback);
  for (const std::string_view part : split(text, ',')) {
    const auto value = io::parse_double(part);
    if (!value || !std::isfinite(*value)) return bad_option(option, text, "0.485,0.456,0.406 or 0.5");
    values.push_back(*value);
  }
  if (values.size() == 1) values.resize(static_cast<std::size_t>(channels), values[0]);
  if (values.size() != static_cast<std::size_t>(channels)) {
    return error{status::usage,
                 std::string(option) + " has " + std::to_string(values.size()) + " numbers, the model has " +
                     std::to_string(channels) + " channels",
                 "", "give one number, or one per channel"};
  }
  return values;
}

result<void> read_range(const std::string& text, double& low, double& high) {
  if (text.empty()) return {};
  const std::size_t dots = text.find("..");
  const auto a = io::parse_double(io::trim(std::string_view(text).substr(0, dots)));
  const auto b =
      dots == std::string::npos ? std::nullopt : io::parse_double(io::trim(std::string_view(text).substr(dots + 2)));
  if (!a || !b || !(*a < *b) || !std::isfinite(*b - *a))
    return bad_option("--value-range", text, "0..1, 0..255 or -1..1");
  low = *a;
  high = *b;
  return {};
}

bool is_channels(const ir::dim& d) {
  return d.value == 1 || d.value == 3;
}

// Layout, channels and size from the four dimensions of the input.
result<void> read_model(const ir::value_info& input, const image_options& options, image_plan& plan) {
  const error no_image{status::data_format, "images need an input of four dimensions and 1 or 3 channels",
                       "input " + io::quote(input.name), "convert the images to .npz yourself"};
  if (!input.type.has_rank() || input.type.dims->size() != 4) return no_image;
  const auto& dims = *input.type.dims;
  const std::string layout = io::lower(options.layout);
  if (!layout.empty() && layout != "nchw" && layout != "nhwc")
    return bad_option("--layout", options.layout, "nchw or nhwc");
  plan.nhwc = layout.empty() ? !is_channels(dims[1]) && is_channels(dims[3]) : layout == "nhwc";
  const ir::dim& channels = plan.nhwc ? dims[3] : dims[1];
  const ir::dim& height = plan.nhwc ? dims[1] : dims[2];
  const ir::dim& width = plan.nhwc ? dims[2] : dims[3];
  if (channels.known() && !is_channels(channels)) {
    if (layout.empty() || !is_channels(plan.nhwc ? dims[1] : dims[3])) return no_image;
    return error{status::usage, "--layout " + layout + " contradicts the model", "input " + io::quote(input.name),
                 "leave --layout out"};
  }
  plan.channels = channels.known() ? channels.value : io::lower(options.color) == "gray" ? 1 : 3;
  if (!options.imgsz.empty()) QUANTAL_CHECK(read_size(options.imgsz, plan));
  const auto settle = [&](std::int64_t& size, const ir::dim& fixed) -> result<void> {
    if (!fixed.known()) return {};
    if (size != 0 && size != fixed.value) {
      return error{status::usage,
                   "--imgsz " + options.imgsz + " contradicts the model, which wants " + std::to_string(fixed.value),
                   "input " + io::quote(input.name), "leave --imgsz out"};
    }
    size = fixed.value;
    return {};
  };
  QUANTAL_CHECK(settle(plan.height, height));
  QUANTAL_CHECK(settle(plan.width, width));
  if ((plan.height == 0) != (plan.width == 0)) {
    return error{status::usage, "the model fixes only one side of its images", "input " + io::quote(input.name),
                 "give --imgsz"};
  }
  if (plan.height * plan.width * plan.channels > most_values)
    return error{status::limit, "image size is above the limit", "", ""};
  return {};
}

// Linear weights of one axis: out[i] = in[at] * (1 - w) + in[next] * w.
struct tap {
  std::int64_t at = 0, next = 0;
  float w = 0;
};

std::vector<tap> taps(std::int64_t in, std::int64_t out) {
  std::vector<tap> all(static_cast<std::size_t>(out));
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  for (std::int64_t i = 0; i < out; ++i) {
    const double x = std::clamp((static_cast<double>(i) + 0.5) * scale - 0.5, 0.0, static_cast<double>(in - 1));
    const auto at = static_cast<std::int64_t>(x);
    all[static_cast<std::size_t>(i)] = {at, std::min(at + 1, in - 1), static_cast<float>(x - static_cast<double>(at))};
  }
  return all;
}

image blank(std::int64_t height, std::int64_t width, std::int64_t channels, std::uint8_t value) {
  return {height, width, channels,
          std::vector<std::uint8_t>(static_cast<std::size_t>(height * width * channels), value)};
}

}  // namespace

bool is_image_name(std::string_view name) {
  const std::string extension = io::extension_of(name);
  return extension == "png" || extension == "jpg" || extension == "jpeg" || extension == "bmp";
}

result<image> decode_image(std::span<const std::byte> bytes, const std::string& where) {
  const auto* raw = reinterpret_cast<const unsigned char*>(bytes.data());
  const auto damaged = [&] {
    return error{status::data_format, std::string("cannot decode image: ") + stb::reason(), where,
                 "png, jpg and bmp can be read"};
  };
  if (bytes.empty()) return error{status::data_format, "image file is empty", where, ""};
  if (bytes.size() > static_cast<std::size_t>(most_values))
    return error{status::limit, "image file is above the limit", where, ""};
  int width = 0, height = 0, channels = 0;
  if (!stb::read_header(raw, bytes.size(), width, height, channels)) return damaged();
  const std::int64_t values = std::int64_t{width} * height * 3;
  // Deflate packs 1032:1 at most, JPEG's best is near 64 pixels in a few bits: a header that claims far more is a bomb.
  if (width < 1 || height < 1 || values > most_values || values / 4096 > static_cast<std::int64_t>(bytes.size())) {
    return error{status::limit,
                 "image of " + std::to_string(width) + " x " + std::to_string(height) + " pixels is above the limit",
                 where, ""};
  }
  const int wanted = channels < 3 ? 1 : 3;  // gray with alpha -> gray, RGBA -> RGB
  const std::unique_ptr<unsigned char, void (*)(unsigned char*)> pixels(
      stb::load(raw, bytes.size(), wanted, width, height), stb::free_pixels);
  if (!pixels) return damaged();
  image picture{height, width, wanted, {}};
  picture.pixels.assign(pixels.get(), pixels.get() + static_cast<std::size_t>(picture.height * picture.width * wanted));
  return picture;
}

image resize_bilinear(const image& from, std::int64_t height, std::int64_t width) {
  if (from.height == height && from.width == width) return from;
  image to = blank(height, width, from.channels, 0);
  const auto rows = taps(from.height, height), columns = taps(from.width, width);
  const std::int64_t step = from.channels;
  std::uint8_t* out = to.pixels.data();
  for (const tap& y : rows) {
    const std::uint8_t* upper = from.pixels.data() + y.at * from.width * step;
    const std::uint8_t* lower = from.pixels.data() + y.next * from.width * step;
    for (const tap& x : columns) {
      for (std::int64_t c = 0; c < step; ++c) {
        const auto mix = [&](const std::uint8_t* row) {
          return static_cast<float>(row[x.at * step + c]) * (1 - x.w) +
                 static_cast<float>(row[x.next * step + c]) * x.w;
        };
        *out++ = static_cast<std::uint8_t>(mix(upper) * (1 - y.w) + mix(lower) * y.w + 0.5f);
      }
    }
  }
  return to;
}

image letterbox(const image& from, std::int64_t height, std::int64_t width) {
  const double scale = std::min(static_cast<double>(height) / static_cast<double>(from.height),
                                static_cast<double>(width) / static_cast<double>(from.width));
  const auto scaled = [&](std::int64_t size, std::int64_t most) {
    return std::clamp<std::int64_t>(std::llround(static_cast<double>(size) * scale), 1, most);
  };
  const image inner = resize_bilinear(from, scaled(from.height, height), scaled(from.width, width));
  image to = blank(height, width, from.channels, letterbox_grey);
  const std::int64_t top = (height - inner.height) / 2, left = (width - inner.width) / 2;
  for (std::int64_t y = 0; y < inner.height; ++y) {
    std::copy_n(inner.pixels.data() + y * inner.width * inner.channels, inner.width * inner.channels,
                to.pixels.data() + ((y + top) * width + left) * to.channels);
  }
  return to;
}

image with_channels(const image& from, std::int64_t channels) {
  if (from.channels == channels) return from;
  image to = blank(from.height, from.width, channels, 0);
  const std::uint8_t* in = from.pixels.data();
  std::uint8_t* out = to.pixels.data();
  for (std::int64_t i = 0; i < from.height * from.width; ++i) {
    if (channels == 3) {
      for (int c = 0; c < 3; ++c) *out++ = *in;
      ++in;
    } else {
      *out++ = static_cast<std::uint8_t>((19595u * in[0] + 38470u * in[1] + 7471u * in[2] + 32768u) >> 16);
      in += 3;
    }
  }
  return to;
}

result<image_plan> plan_images(const ir::value_info& input, const image_options& options) {
  image_plan plan;
  const std::string color = io::lower(options.color);
  if (!color.empty() && color != "rgb" && color != "bgr" && color != "gray")
    return bad_option("--color", options.color, "rgb, bgr or gray");
  QUANTAL_CHECK(read_model(input, options, plan));
  if (plan.channels == 1 && (color == "rgb" || color == "bgr")) {
    return error{status::usage, "--color " + color + " for a model of one channel", "input " + io::quote(input.name),
                 "use gray"};
  }
  plan.bgr = color == "bgr";
  plan.gray = color == "gray";
  plan.letterbox = options.letterbox;
  plan.type = input.type.elem;
  const bool floating = is_float(plan.type);
  if (!floating && !is_integer(plan.type)) {
    return error{status::data_format, std::string("images for an input of type ") + name_of(plan.type),
                 io::quote(input.name), ""};
  }
  double low = 0, high = floating ? 1 : 255;
  QUANTAL_CHECK(read_range(options.value_range, low, high));
  QUANTAL_TRY(mean, read_numbers("--mean", options.mean, plan.channels, 0));
  QUANTAL_TRY(deviation, read_numbers("--std", options.std, plan.channels, 1));
  for (std::size_t c = 0; c < mean.size(); ++c) {
    if (!(deviation[c] > 0)) return bad_option("--std", options.std, "positive numbers");
    for (int v = 0; v < 256; ++v) {
      const double value = (low + v * (high - low) / 255 - mean[c]) / deviation[c];
      plan.table.push_back(static_cast<float>(floating ? value : std::nearbyint(value)));
    }
  }
  return plan;
}

void append_values(const image_plan& plan, const image& source, std::vector<float>& out) {
  image picture = plan.gray ? with_channels(source, 1) : source;
  picture = with_channels(picture, plan.channels);
  if (plan.height > 0) {
    picture = plan.letterbox ? letterbox(picture, plan.height, plan.width)
                             : resize_bilinear(picture, plan.height, plan.width);
  }
  const std::int64_t count = picture.height * picture.width, channels = plan.channels;
  const std::size_t first = out.size();
  out.resize(first + static_cast<std::size_t>(count * channels));
  for (std::int64_t c = 0; c < channels; ++c) {
    const std::uint8_t* in = picture.pixels.data() + (plan.bgr && channels == 3 ? 2 - c : c);
    const float* table = plan.table.data() + c * 256;
    float* to = out.data() + first + static_cast<std::size_t>(plan.nhwc ? c : c * count);
    const std::int64_t step = plan.nhwc ? channels : 1;
    for (std::int64_t i = 0; i < count; ++i) to[i * step] = table[in[i * channels]];
  }
}

}  // namespace quantal::data
