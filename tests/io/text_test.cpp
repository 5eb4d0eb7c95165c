#include "quantal/io/text.hpp"

#include <fenv.h>
#include <locale.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

using namespace quantal::io;

TEST_CASE("F7_names_cannot_deceive_a_terminal") {
  CHECK(escape_text("conv1/weight") == "conv1/weight");
  CHECK(escape_text("gr\xc3\xbc\xc3\x9f\xe4\xb8\xad") == "gr\xc3\xbc\xc3\x9f\xe4\xb8\xad");
  CHECK(escape_text("a\x1b[31mb\n\t\x7f") == "a\\x1b[31mb\\n\\t\\x7f");
  CHECK(escape_text(std::string_view("\0", 1)) == "\\x00");
  CHECK(escape_text("\xe2\x80\xae"
                    "abc") == "\\u{202e}abc");  // right-to-left override
  CHECK(escape_text("\xef\xbb\xbf"
                    "x") == "\\u{feff}x");
  CHECK(escape_text("\xc2\x9b") == "\\u{009b}");                     // CSI as a C1 control
  CHECK(escape_text("\xf3\xa0\x81\x81") == "\\u{e0041}");            // tag character
  CHECK(escape_text("\xff\xc0\xaf") == "\\xff\\xc0\\xaf");           // not UTF-8; overlong
  CHECK(escape_text("\xed\xa0\x80") == "\\xed\\xa0\\x80");           // surrogate
  CHECK(escape_text("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");  // above U+10FFFF
  CHECK(escape_text("\xe4\xb8") == "\\xe4\\xb8");                    // cut off
  CHECK(escape_text("\\x1b") == "\\\\x1b");                          // unambiguous
  CHECK(escape_text(std::string(5000, 'a'), 10) == "aaaaaaaaaa...");
  CHECK(escape_text(std::string(1 << 20, '\x01')).size() <= 1024 + 3);
  CHECK(quote("it's") == "'it\\'s'");
}

TEST_CASE("F7_every_two_byte_text_escapes_to_printable_utf8") {
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const char raw[] = {static_cast<char>(a), static_cast<char>(b)};
      const std::string out = escape_text(std::string_view(raw, 2));
      if (!is_utf8(out)) FAIL("not UTF-8: " << a << " " << b);
      for (const char c : out) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) FAIL("control character: " << a << " " << b);
      }
    }
  }
}

TEST_CASE("F7_html_and_json_cannot_be_broken_out_of") {
  CHECK(escape_html("<script>\"'&") == "&lt;script&gt;&quot;&#39;&amp;");
  CHECK(json_string("a\"b\\c\n\x01</script>\xff") == "\"a\\\"b\\\\c\\u000a\\u0001\\u003c/script>\xef\xbf\xbd\"");
  CHECK(json_string("\xe2\x80\xa8") == "\"\\u2028\"");
}

TEST_CASE("F7_names_become_safe_file_names") {
  CHECK(safe_file_name("../../etc/passwd") == "_.._.._etc_passwd");
  CHECK(safe_file_name("conv1:0") == "conv1_0");
  CHECK(safe_file_name("") == "_");
  CHECK(safe_file_name("-rf") == "_-rf");
  CHECK(safe_file_name("CON") == "_CON");
  CHECK(safe_file_name("lpt1.txt") == "_lpt1.txt");
  CHECK(safe_file_name("a.") == "a_");
  CHECK(safe_file_name(std::string(1 << 20, 'a')).size() == 120);
}

TEST_CASE("P4_numbers_read_the_same_in_every_locale") {
  const char* names[] = {"C", "de_DE.UTF-8", "tr_TR.UTF-8", "fr_FR.UTF-8"};
  int set = 0;
  for (const char* name : names) {
    if (::setlocale(LC_ALL, name) == nullptr) continue;  // not installed here
    ++set;
    CHECK(number(0.1) == "0.1");
    CHECK(number(0.1f) == "0.1");
    CHECK(number(1234567.0) == "1234567");
    CHECK(number(-1e300) == "-1e+300");
    CHECK(fixed(11.314, 2) == "11.31");
    CHECK(fixed(-0.005, 1) == "-0.0");
    CHECK(parse_double("1.5") == 1.5);
    CHECK_FALSE(parse_double("1,5"));
    CHECK(lower("TITLE I") == "title i");
  }
  ::setlocale(LC_ALL, "C");
  WARN("locales tried: " << set);
  CHECK(set >= 1);
}

TEST_CASE("numbers round trip") {
  for (const double v : {0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, -0.0, 123456789.123})
    CHECK(parse_double(number(v)) == v);
  CHECK(number(std::numeric_limits<double>::quiet_NaN()) == "nan");
  CHECK(number(-std::numeric_limits<double>::infinity()) == "-inf");
  CHECK(parse_int("+12") == 12);
  CHECK(parse_int("-9223372036854775808") == INT64_MIN);
  CHECK_FALSE(parse_int("9223372036854775808"));
  for (const char* bad : {"", " 1", "1 ", "1x", "+-1", "0x10", "--1"}) {
    CHECK_FALSE(parse_int(bad));
    CHECK_FALSE(parse_double(bad));
  }
  CHECK_FALSE(parse_double("1e999"));
  CHECK(fixed(1e308, 60).size() > 300);
  CHECK(trim(" \ta b\r\n") == "a b");
  CHECK(trim(" ").empty());
}
