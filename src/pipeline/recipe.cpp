#include "quantal/pipeline/recipe.hpp"

#include <algorithm>
#include <cctype>

namespace quantal::pipeline {

namespace {

constexpr const char* static_scope =
    "inputs of Conv, Gemm, MatMul (two activations too); Gather tables; Add, Mul, Concat, pooling, activations, data "
    "movement between integer tensors; ConvTranspose and LSTM/GRU store their weights in 8 bits; not: LayerNorm, GELU "
    "and "
    "softmax arithmetic, masks, spectrum front ends, model outputs";

constexpr recipe_row table[] = {
    {quant_type::static_int8, "static_int8", "s8 symmetric [-127,127], per tensor; bias corrected",
     "u8 affine, per tensor", "minmax", static_scope, true, "", true, false, true},
    {quant_type::per_channel_int8, "per_channel_int8", "s8 symmetric [-127,127], per output channel",
     "u8 affine, per tensor", "minmax", static_scope, true, "", true, true, false},
    {quant_type::dynamic_int8, "dynamic_int8", "s8 symmetric [-127,127], per output channel", "u8, at run time", "",
     "MatMul, Gemm, Gather tables; LSTM/GRU store their weights in 8 bits; Conv only with --include", true, "", false,
     true, false},
    {quant_type::fp16, "fp16", "f16", "f16; inputs and outputs f32", "", "everything not numerically unsafe in f16",
     true, "", false, false, false},
    {quant_type::bf16, "bf16", "bf16", "bf16", "", "", false, "fp16", false, false, false},
    {quant_type::fp8, "fp8", "f8e4m3fn", "f8e4m3fn", "", "", false, "fp16 or per_channel_int8", true, false, false},
    {quant_type::int16x8, "int16x8", "s8", "s16", "", "", false, "per_channel_int8 or fp16", true, true, false},
    {quant_type::int4, "int4", "s4 in blocks of 32", "f32", "", "", false, "dynamic_int8", false, false, false},
    {quant_type::mixed, "mixed", "chosen per layer", "chosen per layer", "", "", false,
     "per_channel_int8 with --exclude", true, true, false},
};

// Words of `text` in lines of at most `width`, each after `indent` blanks.
std::string wrapped(const std::string& text, std::size_t width, std::size_t indent) {
  std::string out, line;
  std::size_t at = 0;
  while (at < text.size()) {
    std::size_t end = text.find(' ', at);
    if (end == std::string::npos) end = text.size();
    const std::string word = text.substr(at, end - at);
    if (!line.empty() && line.size() + 1 + word.size() > width) {
      out += std::string(indent, ' ') + line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
    at = end + 1;
  }
  return line.empty() ? out : out + std::string(indent, ' ') + line + "\n";
}

}  // namespace

std::span<const recipe_row> recipes() noexcept {
  return table;
}

const recipe_row& recipe_of(quant_type t) noexcept {
  return *std::find_if(std::begin(table), std::end(table), [&](const recipe_row& r) { return r.type == t; });
}

std::string recipe_table() {
  std::string out;
  for (const recipe_row& r : table) {
    out += std::string(r.name) + (r.available ? "\n" : std::string(" (not available yet: use ") + r.instead + ")\n");
    if (!r.available) continue;
    out += std::string("  weights      ") + r.weights + "\n";
    out += std::string("  activations  ") + r.activations + "\n";
    if (*r.observer != '\0') out += std::string("  observer     ") + r.observer + "\n";
    out += "  quantized\n" + wrapped(r.quantized, 90, 4);
  }
  return out;
}

const char* name_of(quant_type t) noexcept {
  return recipe_of(t).name;
}

std::optional<quant_type> quant_type_from(std::string_view name) noexcept {
  const auto equal = [](char a, char b) { return a == std::tolower(static_cast<unsigned char>(b)); };
  for (const recipe_row& r : table) {
    const std::string_view row = r.name;
    if (row.size() == name.size() && std::equal(row.begin(), row.end(), name.begin(), equal)) return r.type;
  }
  return std::nullopt;
}

}  // namespace quantal::pipeline
