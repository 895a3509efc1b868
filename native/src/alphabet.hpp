// The classes of a CTC output layer and what each of them writes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace asr {

// Ends every phone in a word's spelling.
constexpr char kPhoneEnd = '\x1f';

// A token either continues a word or closes the word before it: the separator " " closes and writes
// nothing, a piece that begins with U+2581 closes, begins another word and writes what follows the
// mark.
struct Token {
    std::string body;
    bool closes_word = false;
    bool begins_word = false;
    std::int32_t homophone = 0;  // which of the words that are spelled alike it closes

    bool is_separator() const { return closes_word && body.empty(); }
};

class Alphabet {
  public:
    // `num_homophones` > 0 makes the classes phones: nothing separates words, of which so many, at
    // the most, are spelled alike. A class is then several tokens: the first size() continue the
    // open word; a further size() for each homophone close it as that one and begin another word.
    // Throws std::invalid_argument when `texts` is empty or `blank` is no index of it.
    Alphabet(const std::vector<std::string>& texts, std::int64_t blank,
             std::int32_t num_homophones = 0);

    // Of classes: the columns of a network's output.
    std::int32_t size() const { return size_; }
    std::int32_t blank() const { return blank_; }
    std::int32_t num_homophones() const { return num_homophones_; }
    bool has_phones() const { return num_homophones_ > 0; }
    std::int32_t class_of(std::int32_t id) const { return id < size_ ? id : id % size_; }
    const Token& operator[](std::int32_t id) const { return tokens_[static_cast<std::size_t>(id)]; }

  private:
    std::vector<Token> tokens_;
    std::int32_t size_;
    std::int32_t blank_;
    std::int32_t num_homophones_;
};

}  // namespace asr
