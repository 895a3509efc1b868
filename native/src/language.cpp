#include "language.hpp"

#include <algorithm>
#include <utility>

namespace asr {

Language::Language(LanguageParts parts) : parts_(std::move(parts)) {
    is_empty_ = !parts_.lm && !parts_.lexicon && !parts_.hotwords && !parts_.grammar;
    if (!parts_.lm) parts_.lm_alpha = parts_.lm_beta = 0.0;
    if (parts_.lexicon) {
        spellings_ = &parts_.lexicon->spellings();
    } else if (scores_words()) {
        spellings_ = &parts_.lm->spellings();
    }
    if (scores_words()) {
        unknown_word_ =
            parts_.lm_alpha * parts_.lm->unigram(NGramModel::kUnknown) + parts_.unk_score;
    } else if (parts_.lm) {
        // White space to a model's file, it may be written in several ways.
        for (const char* separator : {"\xE2\x96\x81", "|", "<space>", "_"}) {
            if (separator_unit_ == NGramModel::kUnknown)
                separator_unit_ = parts_.lm->find(separator);
        }
        token_units_ = find_token_units();
    }
    first_gain_ = parts_.lm_beta;
    if (parts_.hotwords) hotword_gain_ = parts_.hotwords->largest_bonus();
}

std::vector<WordId> Language::find_token_units() const {
    std::vector<WordId> units;
    for (std::int32_t id = 0; id < alphabet().size(); ++id) {
        const Token& token = alphabet()[id];
        if (token.is_separator()) {
            units.push_back(separator_unit_);
        } else {
            const char* mark = token.begins_word ? "\xE2\x96\x81" : "";
            units.push_back(parts_.lm->find(mark + token.body));
        }
    }
    return units;
}

TextState Language::start() const {
    TextState state;
    if (parts_.lm) state.lm_state = parts_.lm->sentence_start();
    if (parts_.hotwords) state.hotword_state = parts_.hotwords->start();
    return state;
}

void Language::score_unit(TextState& state, WordId unit, NGramMemo& memo) const {
    const auto [log_prob, next] = memo.score(*parts_.lm, state.lm_state, unit);
    state.lm_score += log_prob;
    state.lm_state = next;
    state.num_units += 1;
}

// What writes nothing is worth nothing, but for a separator between two words and a piece that is
// nothing but the mark of a word: they wait until a word follows.
void Language::score_token(TextState& state, std::int32_t id, NGramMemo& memo) const {
    const Token& token = alphabet()[id];
    const bool is_first = state.num_units == 0;
    if (token.is_separator()) state.separator_held |= token.begins_word || !is_first;
    if (token.body.empty()) return;
    if (state.separator_held && !token.closes_word) score_unit(state, separator_unit_, memo);
    state.separator_held = false;
    score_unit(state, token_units_[static_cast<std::size_t>(id)], memo);
}

// What grammar and hotwords have not heard of the open word, whose letters they hear one by one.
std::string Language::rest_of_word(const TextState& state, std::int32_t homophone) const {
    if (!alphabet().has_phones()) return " ";
    return parts_.lexicon->text(state.word + static_cast<WordId>(homophone)) + ' ';
}

std::optional<TextState> Language::close(const TextState& state, NGramMemo& memo,
                                         std::int32_t homophone) const {
    if (!state.word_open) return state;
    TextState next = state;
    if (parts_.lexicon && state.word == kNoWord) return std::nullopt;
    if (parts_.grammar) {
        const std::string rest = rest_of_word(state, homophone);
        next.grammar_state = parts_.grammar->step(state.grammar_state, rest);
        if (next.grammar_state == Grammar::kRejected) return std::nullopt;
    }
    if (parts_.hotwords) {
        const std::string rest = rest_of_word(state, homophone);
        next.hotword_state = parts_.hotwords->step(state.hotword_state, rest, &next.extras);
    }
    if (scores_words()) {
        const WordId known = state.word == kNoWord ? NGramModel::kUnknown
                                                   : state.word + static_cast<WordId>(homophone);
        const WordId unit = parts_.lexicon ? parts_.lexicon->lm_word(known) : known;
        score_unit(next, unit, memo);
        if (unit == NGramModel::kUnknown) next.extras += parts_.unk_score;
    }
    next.word_hash = kEmptyWordHash;
    next.followers = kAnyByte;
    next.word = kNoWord;
    next.word_open = next.unknown = false;
    next.open_word = 0.0;
    return next;
}

std::optional<TextState> Language::append(const TextState& state, std::int32_t id,
                                          NGramMemo& memo) const {
    const Token& token = alphabet()[id];
    // A phone with no word to continue begins one, as another token.
    if (alphabet().has_phones() && !token.closes_word && !state.word_open) return std::nullopt;
    const bool is_known_only = parts_.lexicon && !token.body.empty();
    if (is_known_only && !may_follow(state, token.body)) return std::nullopt;
    TextState next = state;
    if (!token_units_.empty()) score_token(next, id, memo);
    if (token.body.empty()) return next;
    next.word_open = true;
    const bool hears_letters = !alphabet().has_phones();
    if (parts_.grammar && hears_letters) {
        next.grammar_state = parts_.grammar->step(state.grammar_state, token.body);
        if (next.grammar_state == Grammar::kRejected) return std::nullopt;
    }
    if (spellings_ != nullptr && !look_up(next, token.body, memo)) return std::nullopt;
    if (parts_.hotwords && hears_letters) {
        next.hotword_state = parts_.hotwords->step(state.hotword_state, token.body, &next.extras);
    }
    return next;
}

// Follows the open word among the known ones; false when the lexicon has none that begins so.
bool Language::look_up(TextState& state, std::string_view bytes, NGramMemo& memo) const {
    if (state.unknown) return true;
    const bool may_exist = may_follow(state, bytes);
    state.word_hash = extend_hash(state.word_hash, bytes);
    const WordTable::Slot* slot = may_exist ? spellings_->find(state.word_hash) : nullptr;
    if (slot == nullptr && parts_.lexicon) return false;
    state.unknown = slot == nullptr;
    state.followers = slot != nullptr ? slot->followers : 0;
    state.word = slot != nullptr ? slot->word : kNoWord;
    if (scores_words()) state.open_word = promise_of(state, slot, memo);
    return true;
}

// The most that words which begin as the open one may be worth, by the model's unigrams: what has
// come before would take a look at each of them. The open word itself, where it is one, is given
// what the model says of it here, or rivals that have not begun a word yet would crowd it out.
double Language::promise_of(const TextState& state, const WordTable::Slot* slot,
                            NGramMemo& memo) const {
    double promise = slot != nullptr ? parts_.lm_alpha * slot->lookahead : unknown_word_;
    if (!parts_.lexicon) promise = std::max(promise, unknown_word_);
    if (state.word == kNoWord) return promise + parts_.lm_beta;
    for (WordId i = 0; i < static_cast<WordId>(num_homophones(state)); ++i) {
        const WordId unit = parts_.lexicon ? parts_.lexicon->lm_word(state.word + i) : state.word;
        const double log_prob = memo.score(*parts_.lm, state.lm_state, unit).first;
        promise = std::max(promise, parts_.lm_alpha * log_prob);
    }
    return promise + parts_.lm_beta;
}

std::optional<TextState> Language::finish(const TextState& state, NGramMemo& memo,
                                          std::int32_t homophone) const {
    std::optional<TextState> last = close(state, memo, homophone);
    if (!last) return last;
    if (parts_.grammar && !parts_.grammar->accepts(last->grammar_state)) return std::nullopt;
    if (parts_.lm) last->lm_score += parts_.lm->score_end(last->lm_state);
    return last;
}

bool Language::is_whole(const TextState& state) const {
    if (parts_.lexicon && state.word_open && state.word == kNoWord) return false;
    if (!parts_.grammar) return true;
    for (std::int32_t i = 0; i < num_homophones(state); ++i) {
        if (is_accepted(state, i)) return true;
    }
    return false;
}

bool Language::is_accepted(const TextState& state, std::int32_t homophone) const {
    const std::string rest = state.word_open ? rest_of_word(state, homophone) : "";
    const std::int32_t end = parts_.grammar->step(state.grammar_state, rest);
    return end != Grammar::kRejected && parts_.grammar->accepts(end);
}

// Which of its homophones a word is, the token says that closes it: the next word's first one.
void Language::spell_out(std::vector<Word>& words, const std::vector<Emission>& emissions,
                         std::int32_t last_homophone) const {
    if (!parts_.lexicon) return;
    std::vector<std::int32_t> homophones;
    if (alphabet().has_phones()) {
        for (const Emission& emission : emissions) {
            const Token& token = alphabet()[emission.token];
            if (token.begins_word) homophones.push_back(token.homophone);
        }
        homophones.push_back(last_homophone);
    }
    for (std::size_t i = 0; i < words.size(); ++i) {
        const auto* slot = spellings_->find(extend_hash(kEmptyWordHash, words[i].text));
        if (slot == nullptr || slot->word == kNoWord) {
            if (alphabet().has_phones()) words.pop_back();  // the last one, while it is open
            continue;
        }
        const std::int32_t homophone = homophones.empty() ? 0 : homophones[i + 1];
        words[i].text = parts_.lexicon->text(slot->word + static_cast<WordId>(homophone));
    }
}

}  // namespace asr
