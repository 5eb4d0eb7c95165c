// What an integer network calls on a device at run time: requantization in all three contracts. Compiled alone, so that
// its undefined symbols and its instructions can be looked at: mem* and libgcc's integer helpers, no floating point.
#include "quantal/quant/requant.hpp"

extern "C" int32_t device_requantize(const int32_t* acc, const int32_t* bias, size_t rows, size_t channels,
                                     const quantal::requantizer* how, int8_t* codes) {
  return static_cast<int32_t>(quantal::requantize(acc, bias, rows, channels, *how, quantal::dtype::s8, codes));
}
