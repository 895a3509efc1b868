#include "word_table.hpp"

#include <algorithm>
#include <utility>

namespace asr {

namespace {

bool begins_character(char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
}

}  // namespace

WordTable::Slot& WordTableBuilder::slot_of(std::uint64_t hash) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t index = WordTable::place(hash) & mask;
    while (slots_[index].hash != 0 && slots_[index].hash != hash) index = (index + 1) & mask;
    return slots_[index];
}

void WordTableBuilder::grow() {
    std::vector<WordTable::Slot> old(2 * slots_.size());
    old.swap(slots_);
    for (const auto& slot : old) {
        if (slot.hash != 0) slot_of(slot.hash) = slot;
    }
}

WordId WordTableBuilder::add(std::string_view spelling, WordId word, float log_prob) {
    std::uint64_t hash = kEmptyWordHash;
    for (std::size_t i = 0; i < spelling.size(); ++i) {
        hash = extend_hash(hash, spelling.substr(i, 1));
        if (i + 1 < spelling.size() && !begins_character(spelling[i + 1])) continue;
        if (2 * num_used_ >= slots_.size()) grow();
        WordTable::Slot& slot = slot_of(hash);
        if (slot.hash == 0) {
            slot = {hash, 0, kNoWord, log_prob};
            ++num_used_;
        }
        slot.lookahead = std::max(slot.lookahead, log_prob);
        if (i + 1 < spelling.size()) {
            slot.followers |= WordTable::byte_set(spelling.substr(i + 1));
        } else {
            if (slot.word != kNoWord) return slot.word;
            slot.word = word;
        }
    }
    return kNoWord;
}

}  // namespace asr
