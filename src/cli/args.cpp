// The rim over CLI11 (see args.hpp). CLI11's exceptions are caught in main.cpp.
#include "args.hpp"

#include <CLI/CLI.hpp>
#include <cmath>

#include "quantal/io/text.hpp"

namespace quantal::cli {
namespace {

std::string first_long_name(const std::string& names) {
  const std::size_t dash = names.find("--");
  const std::size_t from = dash == std::string::npos ? 0 : dash;
  return names.substr(from, names.find(',', from) - from);
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

}  // namespace

option_handle& option_handle::choices(std::vector<std::string> words) {
  words_ = std::move(words);
  option_->description(option_->get_description() + ": " + joined(words_));
  std::vector<std::string> all = words_;
  // transform, not check: the word in its own spelling is what goes on.
  option_->transform(CLI::Validator(
      [all](std::string& given) -> std::string {
        for (const std::string& word : all) {
          if (io::lower(word) == io::lower(given)) {
            given = word;
            return {};
          }
        }
        return io::quote(given) + " is not one of " + joined(all);
      },
      std::string{}));
  return *this;
}

option_handle& option_handle::later(std::vector<std::string> words) {
  args::later_entry entry;
  entry.name = name_;
  entry.option = option_;
  entry.words = words;
  for (const auto& [name, target] : owner_.targets_) {
    if (name == name_) entry.target = target;
  }
  owner_.later_.push_back(entry);
  if (!words.empty()) option_->description(option_->get_description() + " (not available yet: " + joined(words) + ")");
  std::vector<std::string> all = words_;
  all.insert(all.end(), words.begin(), words.end());
  // A second check with all words replaces the first: CLI11 runs validators in the order they were added.
  option_->get_validator(0)->operation([all](std::string& given) -> std::string {
    for (const std::string& word : all) {
      if (io::lower(word) == io::lower(given)) {
        given = word;
        return {};
      }
    }
    return io::quote(given) + " is not one of " + joined(all);
  });
  return *this;
}

option_handle& option_handle::required() {
  option_->required();
  return *this;
}

option_handle& option_handle::group(const std::string& name) {
  option_->group(name);
  return *this;
}

option_handle args::text(const std::string& names, std::string* value, const std::string& help) {
  const std::string name = first_long_name(names);
  targets_.emplace_back(name, value);
  CLI::Option* o = app_.add_option(names, *value, help);
  if (!value->empty()) o->default_str(*value);
  o->type_name("");
  return {*this, o, name};
}

option_handle args::list(const std::string& names, std::vector<std::string>* value, const std::string& help) {
  CLI::Option* o = app_.add_option(names, *value, help)->take_all();
  if (names.find('-') != std::string::npos)
    o->allow_extra_args(false);  // an option takes one value each time it is given
  return {*this, o, first_long_name(names)};
}

option_handle args::integer(const std::string& names, std::int64_t* value, const std::string& help, std::int64_t least,
                            std::int64_t most) {
  CLI::Option* o = app_.add_option(names, *value, help)->default_str(std::to_string(*value));
  o->type_name("N");
  o->check(CLI::Validator(
      [least, most](std::string& given) -> std::string {
        const auto n = io::parse_int(given);
        if (!n) return io::quote(given) + " is not a whole number";
        if (*n < least || *n > most)
          return given + " is not between " + std::to_string(least) + " and " + std::to_string(most);
        return {};
      },
      std::string{}));
  return {*this, o, first_long_name(names)};
}

option_handle args::real(const std::string& names, double* value, const std::string& help) {
  CLI::Option* o = app_.add_option(names, *value, help)->type_name("X");
  o->check(CLI::Validator(
      [](std::string& given) -> std::string {
        const auto x = io::parse_double(given);
        return x && !std::isnan(*x) ? std::string{} : io::quote(given) + " is not a number";
      },
      std::string{}));
  return {*this, o, first_long_name(names)};
}

option_handle args::flag(const std::string& names, bool* value, const std::string& help) {
  return {*this, app_.add_flag(names, *value, help), first_long_name(names)};
}

void args::later_option(const std::string& names, const std::string& help, const std::string& neutral) {
  later_entry entry;
  entry.name = first_long_name(names);
  entry.neutral = neutral;
  entry.value = std::make_shared<std::string>(neutral);
  entry.option = app_.add_option(names, *entry.value, help + " (not available yet)")->group("Not available yet");
  later_.push_back(std::move(entry));
}

void args::anything() {
  app_.allow_extras();
  app_.prefix_command();
}

void args::example(const std::string& text) {
  app_.footer(notes_ + "Example:\n  " + text);
}

void args::note(const std::string& text) {
  notes_ += text + "\n";
}

bool args::given(const std::string& name) const {
  return app_.count(name) > 0;
}

result<void> args::refuse(std::span<const char* const> options, const std::string& why) const {
  for (const char* option : options)
    if (given(option)) return error{status::usage, std::string(option) + " has no effect " + why, {}, "leave it out"};
  return {};
}

result<void> args::refuse_later() const {
  for (const later_entry& entry : later_) {
    if (entry.option->count() == 0) continue;
    if (entry.target != nullptr) {
      for (const std::string& word : entry.words) {
        if (io::lower(word) == io::lower(*entry.target)) {
          return error{status::unsupported,
                       entry.name + " " + word + " is not available yet",
                       {},
                       "see --help for what this version does"};
        }
      }
      continue;
    }
    if (entry.value != nullptr && !entry.neutral.empty() && io::lower(*entry.value) == io::lower(entry.neutral))
      continue;
    return error{status::unsupported, entry.name + " is not available yet", {}, "leave it out"};
  }
  return {};
}

}  // namespace quantal::cli
