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

}  // namespace

Alphabet::Alphabet(const std::vector<std::string>& texts, std::int64_t blank)
    : blank_(static_cast<std::int32_t>(blank)) {
    if (texts.empty()) throw std::invalid_argument("tokens must not be empty");
    if (blank < 0 || blank >= static_cast<std::int64_t>(texts.size())) {
        throw std::invalid_argument("blank must be in 0.." + std::to_string(texts.size() - 1) +
                                    ", got " + std::to_string(blank));
    }
    tokens_.reserve(texts.size());
    for (const auto& text : texts) tokens_.push_back(parse_token(text));
    tokens_[static_cast<std::size_t>(blank)] = {};
}

}  // namespace asr
