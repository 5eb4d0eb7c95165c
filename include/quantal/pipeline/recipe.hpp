// recipe: the default of every quantization type, one row each. This table is the only home of these defaults; --help
// and `inspect --preset` print it, quantize() reads it.
#pragma once
#include <span>
#include <string>

#include "quantal/pipeline/quantize.hpp"

namespace quantal::pipeline {

struct recipe_row {
  quant_type type;
  const char* name;
  const char* weights;
  const char* activations;
  const char* observer;   // "" where no data is used
  const char* quantized;  // what is quantized, in words
  bool available;
  const char* instead;  // for a type that is not available: what to use
  bool needs_data;
  bool per_channel;   // weights: one scale per output channel
  bool correct_bias;  // passes/correct_bias.hpp; per channel it gains under 0.4 dB and can lose more (docs/accuracy.md)
};

std::span<const recipe_row> recipes() noexcept;
const recipe_row& recipe_of(quant_type t) noexcept;
// The table as text, at most 100 columns wide.
std::string recipe_table();

}  // namespace quantal::pipeline
