// The classes of a CTC output layer and what each of them writes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace asr {

// A token either continues a word or closes the word before it: the separator " " closes and writes
// nothing, a piece that begins with U+2581 closes, begins another word and writes what follows the
// mark.
struct Token {
    std::string body;
    bool closes_word = false;
    bool begins_word = false;

    bool is_separator() const { return closes_word && body.empty(); }
};

class Alphabet {
  public:
    // Throws std::invalid_argument when `texts` is empty or `blank` is no index of it.
    Alphabet(const std::vector<std::string>& texts, std::int64_t blank);

    std::int32_t size() const { return static_cast<std::int32_t>(tokens_.size()); }
    std::int32_t blank() const { return blank_; }
    const Token& operator[](std::int32_t id) const { return tokens_[static_cast<std::size_t>(id)]; }

  private:
    std::vector<Token> tokens_;
    std::int32_t blank_;
};

}  // namespace asr
