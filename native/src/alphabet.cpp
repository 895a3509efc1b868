#include "alphabet.hpp"

#include <stdexcept>
#include <string_view>

namespace asr {

namespace {

constexpr std::string_view kWordMark = "\xE2\x96\x81";  // U+2581, SentencePiece's word boundary

Token parse_token(const std::string& text) {
    if (text == " ") return {"", true, false};
    if (text.compare(0, kWordMark.size(), kWordMark) == 0) {
        return {text.substr(kWordMark.size()), true, true};
    }
    return {text, false, false};
}

// Where a phone ends must be seen in a word's bytes: N G is not NG.
Token parse_phone(const std::string& text) {
    return {parse_token(text).body + kPhoneEnd, false, false};
}

}  // namespace

Alphabet::Alphabet(const std::vector<std::string>& texts, std::int64_t blank,
                   std::int32_t num_homophones)
    : size_(static_cast<std::int32_t>(texts.size())),
      blank_(static_cast<std::int32_t>(blank)),
      num_homophones_(num_homophones) {
    if (texts.empty()) throw std::invalid_argument("tokens must not be empty");
    if (blank < 0 || blank >= static_cast<std::int64_t>(texts.size())) {
        throw std::invalid_argument("blank must be in 0.." + std::to_string(texts.size() - 1) +
                                    ", got " + std::to_string(blank));
    }
    tokens_.reserve(texts.size() * static_cast<std::size_t>(1 + num_homophones));
    for (const auto& text : texts) {
        tokens_.push_back(has_phones() ? parse_phone(text) : parse_token(text));
    }
    tokens_[static_cast<std::size_t>(blank)] = {};
    for (std::int32_t homophone = 0; homophone < num_homophones; ++homophone) {
        for (std::size_t c = 0; c < texts.size(); ++c) {
            tokens_.push_back({tokens_[c].body, true, true, homophone});
        }
    }
}

}  // namespace asr
