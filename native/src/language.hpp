// What is known about the text of a prefix: which words it may hold and what they are worth.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "alphabet.hpp"
#include "grammar.hpp"
#include "hotwords.hpp"
#include "hypothesis.hpp"
#include "lexicon.hpp"
#include "ngram.hpp"

namespace asr {

constexpr std::uint64_t kAnyByte = ~0ull;

// The text side of one prefix. A function of the prefix's tokens alone, so it is made once, when
// the prefix is, and never changes.
struct TextState {
    std::uint64_t word_hash = kEmptyWordHash;  // of the open word's bytes
    std::uint64_t followers = kAnyByte;        // set of bytes that known words go on with
    double lm_score = 0.0;                     // ln P of what the model has scored
    double extras = 0.0;                       // hotwords completed, unknown words
    double open_word = 0.0;  // for ranking alone: the most the open word may bring
    NodeId lm_state = 0;
    WordId word = kNoWord;       // the known word that the open word spells, the first of such
    std::int32_t num_units = 0;  // words, or tokens, that the model has scored
    std::int32_t hotword_state = 0;
    std::int32_t grammar_state = 0;
    bool word_open = false;       // the open word has at least one byte
    bool unknown = false;         // no known word begins as the open word does
    bool separator_held = false;  // that a token model scores once a word follows

    // Whether any continuation is worth the same after both.
    bool has_future_of(const TextState& other) const {
        return lm_state == other.lm_state && word_hash == other.word_hash &&
               hotword_state == other.hotword_state && grammar_state == other.grammar_state &&
               word_open == other.word_open && unknown == other.unknown &&
               separator_held == other.separator_held;
    }
    // A hash that is equal where the futures are.
    std::size_t future_hash() const {
        std::uint64_t hash = word_hash ^ lm_state * 0x9E3779B97F4A7C15ull;
        hash ^= static_cast<std::uint64_t>(hotword_state ^ (grammar_state << 16));
        return static_cast<std::size_t>((hash ^ (hash >> 32)) * 0xBF58476D1CE4E5B9ull >> 20);
    }
};

// What a language model scores.
enum class LmUnit { kWord, kToken };

struct LanguageParts {
    std::shared_ptr<const Alphabet> alphabet;
    std::shared_ptr<const NGramModel> lm;  // this and the next three may be null
    std::shared_ptr<const Lexicon> lexicon;
    std::shared_ptr<const Hotwords> hotwords;
    std::shared_ptr<const Grammar> grammar;
    LmUnit lm_unit = LmUnit::kWord;
    double lm_alpha = 0.0;
    double lm_beta = 0.0;
    double unk_score = 0.0;  // for each closed word unknown to the word model
};

// Scores and constrains text by all of its parts at once; with none every text is worth 0.
class Language {
  public:
    explicit Language(LanguageParts parts);

    TextState start() const;
    // The state after a token is append(close(state), token) for a token that closes a word,
    // append(state, token) otherwise; nothing when lexicon or grammar forbid the text.
    std::optional<TextState> close(const TextState& state, NGramMemo& memo,
                                   std::int32_t homophone = 0) const;
    std::optional<TextState> append(const TextState& state, std::int32_t token,
                                    NGramMemo& memo) const;
    // How many words the open word may be, >= 1.
    std::int32_t num_homophones(const TextState& state) const {
        if (!alphabet().has_phones() || state.word == kNoWord) return 1;
        return std::min(alphabet().num_homophones(), parts_.lexicon->num_homophones(state.word));
    }
    // The state of a whole text: the last word needs no separator to count, </s> follows it.
    std::optional<TextState> finish(const TextState& state, NGramMemo& memo,
                                    std::int32_t homophone = 0) const;

    // lm_alpha * ln P(text) + lm_beta * |text| + unk_score * |unknown words| + hotwords
    double bonus(const TextState& state) const {
        return parts_.lm_alpha * state.lm_score + parts_.lm_beta * state.num_units + state.extras;
    }
    // The same and what unfinished words and phrases promise, which only serves to prune.
    double ranking_bonus(const TextState& state) const {
        const double promise =
            parts_.hotwords ? parts_.hotwords->promise(state.hotword_state) : 0.0;
        return bonus(state) + state.open_word + promise;
    }
    // The most that append can add to a state's ranking bonus. What the model says of a word that
    // the token completes may be more, which is not worth looking for.
    double largest_gain(const TextState& state) const {
        const double of_separator = state.separator_held ? std::max(0.0, first_gain_) : 0.0;
        return (state.word_open && scores_words() ? 0.0 : first_gain_) + of_separator +
               hotword_gain_;
    }

    // Whether lexicon or grammar forbid some texts.
    bool is_constrained() const { return parts_.lexicon || parts_.grammar; }
    // Whether a text may end here.
    bool is_whole(const TextState& state) const;

    bool is_empty() const { return is_empty_; }
    const Alphabet& alphabet() const { return *parts_.alphabet; }
    // Replaces the spellings of the words that `emissions` spell by the words of the lexicon.
    // `last_homophone`: which of its homophones the last word is.
    void spell_out(std::vector<Word>& words, const std::vector<Emission>& emissions,
                   std::int32_t last_homophone) const;

  private:
    bool scores_words() const { return parts_.lm && parts_.lm_unit == LmUnit::kWord; }
    bool is_accepted(const TextState& state, std::int32_t homophone) const;
    std::string rest_of_word(const TextState& state, std::int32_t homophone) const;
    void score_unit(TextState& state, WordId unit, NGramMemo& memo) const;
    void score_token(TextState& state, std::int32_t id, NGramMemo& memo) const;
    static bool may_follow(const TextState& state, std::string_view bytes) {
        return (state.followers & WordTable::byte_set(bytes)) != 0;
    }
    bool look_up(TextState& state, std::string_view bytes, NGramMemo& memo) const;
    double promise_of(const TextState& state, const WordTable::Slot* slot, NGramMemo& memo) const;
    std::vector<WordId> find_token_units() const;

    LanguageParts parts_;
    const WordTable* spellings_ = nullptr;  // of the lexicon, or else of the word model
    std::vector<WordId> token_units_;       // of each token, with LmUnit::kToken
    WordId separator_unit_ = NGramModel::kUnknown;
    double unknown_word_ = 0.0;  // weighted ln P of an unknown word
    double first_gain_ = 0.0;    // by the first byte of a word, or by any token of a token model
    double hotword_gain_ = 0.0;
    bool is_empty_;
};

}  // namespace asr
