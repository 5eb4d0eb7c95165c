// args: the options of one verb. A thin rim over CLI11, so that only args.cpp compiles it and every option of every
// verb looks and fails the same:
//
//   args.text("--quant-type", &type, "what to make").choices({"fp16", ...}).later({"int4", ...});
//
// `choices` are case-insensitive and are handed on in their own spelling. `later` are words that the contract knows and
// this version cannot do yet: they are accepted by the parser and refused with status::unsupported, never ignored.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "quantal/base/result.hpp"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace quantal::cli {

class args;

class option_handle {
 public:
  option_handle(args& owner, CLI::Option* option, std::string name)
      : owner_(owner), option_(option), name_(std::move(name)) {}
  option_handle& choices(std::vector<std::string> words);
  option_handle& later(std::vector<std::string> words);  // after choices
  option_handle& required();
  option_handle& group(const std::string& name);

 private:
  args& owner_;
  CLI::Option* option_;
  std::string name_;
  std::vector<std::string> words_;
};

class args {
 public:
  explicit args(CLI::App& app) : app_(app) {}
  option_handle text(const std::string& names, std::string* value, const std::string& help);
  option_handle list(const std::string& names, std::vector<std::string>* value, const std::string& help);
  option_handle integer(const std::string& names, std::int64_t* value, const std::string& help, std::int64_t least,
                        std::int64_t most);
  option_handle real(const std::string& names, double* value, const std::string& help);
  option_handle flag(const std::string& names, bool* value, const std::string& help);
  // An option that belongs to a later feature: accepted with any value, refused if it was given with another than
  // `neutral`.
  void later_option(const std::string& names, const std::string& help, const std::string& neutral = {});
  // Words that the parser passes through unread (verbs that do not exist yet).
  void anything();
  void example(const std::string& text);
  void note(const std::string& text);  // stands before the example

  bool given(const std::string& name) const;
  // Errors: usage, for the first of the options that was given: "--data has no effect with --merge".
  result<void> refuse(std::span<const char* const> options, const std::string& why) const;
  // status::unsupported if an option or a value of a later feature was given.
  result<void> refuse_later() const;

 private:
  friend class option_handle;
  struct later_entry {
    std::string name;
    std::string neutral;
    const CLI::Option* option = nullptr;
    std::shared_ptr<std::string> value;   // of a later_option
    const std::string* target = nullptr;  // of an option with later words
    std::vector<std::string> words;
  };
  CLI::App& app_;
  std::string notes_;
  std::vector<later_entry> later_;
  std::vector<std::pair<std::string, const std::string*>> targets_;  // option name -> where its value goes
};

}  // namespace quantal::cli
