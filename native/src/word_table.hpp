// Words by the hash of their bytes, and of every beginning of them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "array_view.hpp"

namespace asr {

using WordId = std::uint32_t;
constexpr WordId kNoWord = 0xFFFFFFFFu;

// FNV-1a, so that the hash of a word grows with its bytes and a piece costs one look-up, however
// it cuts the word. Two of 10^6 beginnings share one of the 2^64 hashes with probability 3e-8.
constexpr std::uint64_t kEmptyWordHash = 14695981039346656037ull;
inline std::uint64_t extend_hash(std::uint64_t hash, std::string_view bytes) {
    for (const char byte : bytes) {
        hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211ull;
    }
    return hash;
}

// Open addressing with linear probing; the number of slots is a power of two. Safe to read from a
// damaged file: every look-up ends.
class WordTable {
  public:
    struct Slot {
        std::uint64_t hash = 0;       // 0: free
        std::uint64_t followers = 0;  // set of bytes: see byte_set
        WordId word = kNoWord;        // the word that ends here
        float lookahead = 0.0F;       // highest log-probability of the words that begin so
    };

    WordTable() = default;
    explicit WordTable(ArrayView<Slot> slots) : slots_(slots), mask_(slots.size() - 1) {}

    // nullptr when no word begins so.
    const Slot* find(std::uint64_t hash) const {
        std::size_t index = place(hash) & mask_;
        for (std::size_t probe = 0; probe < slots_.size(); ++probe, index = (index + 1) & mask_) {
            if (slots_[index].hash == hash) return &slots_[index];
            if (slots_[index].hash == 0) return nullptr;
        }
        return nullptr;
    }
    ArrayView<Slot> slots() const { return slots_; }

    // The set that holds a text's first byte. A set is a bit for each byte modulo 64, so that it
    // may hold a few more than were put in, and those that no word goes on with are mostly told
    // without a look into the table, which rarely is in the cache.
    static std::uint64_t byte_set(std::string_view text) {
        return 1ull << (static_cast<unsigned char>(text.front()) & 63);
    }

    static std::size_t place(std::uint64_t hash) {
        return static_cast<std::size_t>(hash ^ (hash >> 29));
    }

  private:
    ArrayView<Slot> slots_;
    std::size_t mask_ = 0;
};

class WordTableBuilder {
  public:
    WordTableBuilder() : slots_(1024) {}

    // Returns the word that already has this spelling, or kNoWord.
    WordId add(std::string_view spelling, WordId word, float log_prob);
    std::vector<WordTable::Slot> take() { return std::move(slots_); }

  private:
    WordTable::Slot& slot_of(std::uint64_t hash);
    void grow();

    std::vector<WordTable::Slot> slots_;
    std::size_t num_used_ = 0;
};

}  // namespace asr
