// wide: a signed integer of many words, so that sums of floats are exact and therefore independent of order.
//
// Every finite float is m * 2^(s - 149) with |m| < 2^24 and 0 <= s <= 253. A fixed-point number that is wide enough
// holds any sum of such values without rounding; adding integers is associative, so shards merged in any order equal
// one run bit for bit (Kulisch's long accumulator). Two's complement, 32-bit words, least significant first: portable
// to targets without a 128-bit type. Rounding happens once, in to_double.
#pragma once
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quantal::calib {

template <int Words>
class wide {
 public:
  // Adds (negative ? -1 : 1) * magnitude * 2^shift. The caller keeps magnitude * 2^shift inside the number.
  void add(std::uint64_t magnitude, unsigned shift, bool negative) noexcept {
    const unsigned bit = shift % 32;
    const std::uint64_t low = (magnitude & 0xffffffffu) << bit, high = (magnitude >> 32) << bit;
    const std::uint64_t middle = (low >> 32) + (high & 0xffffffffu);
    const std::uint32_t part[3] = {static_cast<std::uint32_t>(low), static_cast<std::uint32_t>(middle),
                                   static_cast<std::uint32_t>((high >> 32) + (middle >> 32))};
    std::uint64_t carry = 0;
    int i = static_cast<int>(shift / 32);
    for (int k = 0; i < Words && (k < 3 || carry != 0); ++i, ++k) {
      const std::uint64_t p = (k < 3 ? part[k] : 0u) + carry;
      const std::uint64_t old = word_[static_cast<std::size_t>(i)];
      word_[static_cast<std::size_t>(i)] = static_cast<std::uint32_t>(negative ? old - p : old + p);
      carry = negative ? (old < p ? 1u : 0u) : (old + p) >> 32;
    }
  }

  wide& operator+=(const wide& other) noexcept {
    std::uint64_t carry = 0;
    for (std::size_t i = 0; i < Words; ++i) {
      carry += std::uint64_t{word_[i]} + other.word_[i];
      word_[i] = static_cast<std::uint32_t>(carry);
      carry >>= 32;
    }
    return *this;
  }

  wide operator-() const noexcept {
    wide out;
    std::uint64_t carry = 1;
    for (std::size_t i = 0; i < Words; ++i) {
      carry += static_cast<std::uint32_t>(~word_[i]);
      out.word_[i] = static_cast<std::uint32_t>(carry);
      carry >>= 32;
    }
    return out;
  }

  // The product of two non-negative numbers.
  template <int Other>
  wide<Words + Other> times(const wide<Other>& other) const noexcept {
    wide<Words + Other> out;
    for (unsigned i = 0; i < Words; ++i)
      for (unsigned k = 0; k < Other; ++k) out.add(std::uint64_t{word_[i]} * other.word(k), 32 * (i + k), false);
    return out;
  }

  // The same number in more words.
  template <int More>
  wide<More> widened() const noexcept {
    static_assert(More >= Words);
    const wide magnitude = negative() ? -*this : *this;
    wide<More> out;
    for (unsigned i = 0; i < Words; ++i) out.add(magnitude.word_[i], 32 * i, false);
    return negative() ? -out : out;
  }

  bool negative() const noexcept { return (word_[Words - 1] >> 31) != 0; }
  std::uint32_t word(std::size_t i) const noexcept { return word_[i]; }
  bool operator==(const wide&) const = default;

  // The number times 2^exponent, rounded once, to nearest even (for results that are normal doubles).
  double to_double(int exponent) const noexcept {
    const bool minus = negative();
    const wide m = minus ? -*this : *this;
    int top = Words - 1;
    while (top > 0 && m.word_[static_cast<std::size_t>(top)] == 0) --top;
    std::uint64_t head = m.word_[static_cast<std::size_t>(top)];
    int scale = 32 * top;
    bool sticky = false;
    // Take 64 bits, leading bit set as far as the number has them; what is below only tells whether it is zero.
    for (int i = top - 1; i >= 0; --i) {
      const std::uint32_t next = m.word_[static_cast<std::size_t>(i)];
      if ((head >> 32) == 0) {
        head = head << 32 | next;
        scale -= 32;
      } else {
        unsigned room = 0;
        while (room < 31 && (head >> (63 - room)) == 0) ++room;  // free leading bits
        head = head << room | (std::uint64_t{next} << room) >> 32;
        scale -= static_cast<int>(room);
        sticky = (static_cast<std::uint64_t>(next) << room & 0xffffffffu) != 0;
        for (int k = i - 1; k >= 0 && !sticky; --k) sticky = m.word_[static_cast<std::size_t>(k)] != 0;
        break;
      }
    }
    // head has at least 33 significant bits here whenever bits were dropped, and then at least 64 - 0 leading ones are
    // normalised above, so the sticky bit lies below the rounding position of a double.
    const double magnitude = std::ldexp(static_cast<double>(head | (sticky ? 1u : 0u)), scale + exponent);
    return minus ? -magnitude : magnitude;
  }

  // "-1f" : sign and hexadecimal magnitude, no leading zeros; the form in files.
  std::string hex() const {
    const wide m = negative() ? -*this : *this;
    std::string digits;
    for (std::size_t i = Words; i-- > 0;)
      for (int shift = 28; shift >= 0; shift -= 4) {
        const unsigned digit = m.word_[i] >> shift & 15u;
        if (digit != 0 || !digits.empty()) digits += "0123456789abcdef"[digit];
      }
    if (digits.empty()) return "0";
    return negative() ? "-" + digits : digits;
  }

  static std::optional<wide> from_hex(std::string_view text) {
    const bool minus = !text.empty() && text.front() == '-';
    if (minus) text.remove_prefix(1);
    if (text.empty() || text.size() > 8 * Words) return std::nullopt;
    wide out;
    unsigned shift = 0;
    for (std::size_t i = text.size(); i-- > 0; shift += 4) {
      const char c = text[i];
      const bool digit = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'f';
      if (!digit && !letter) return std::nullopt;
      out.add(static_cast<std::uint64_t>(digit ? c - '0' : c - 'a' + 10), shift, false);
    }
    if (out.negative()) return std::nullopt;  // the sign bit is not a digit
    if (minus && out == wide{}) return std::nullopt;  // zero has one form
    return minus ? -out : out;
  }

 private:
  std::array<std::uint32_t, Words> word_{};
};

}  // namespace quantal::calib
