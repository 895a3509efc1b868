// Words and phrases to listen for: an Aho-Corasick automaton over the bytes of the text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace asr {

// The text is read as " word word ... word ", a space around every word, so that the pattern
// " phrase " matches whole words alone, wherever they stand and however they overlap.
class Hotwords {
  public:
    // `weight` nats for every word of a phrase, each time the phrase occurs.
    Hotwords(const std::vector<std::string>& phrases, double weight);

    std::int32_t start() const { return step(0, " "); }
    // Advances by `bytes`, adding to `bonus` what the phrases completed on the way are worth.
    std::int32_t step(std::int32_t state, std::string_view bytes, double* bonus = nullptr) const;
    // Share of the bonus of a phrase that is heard in part, for ranking: it goes back with the
    // state when the text goes another way.
    double promise(std::int32_t state) const {
        return nodes_[static_cast<std::size_t>(state)].promise;
    }
    // The most that one step can add to a rank per byte is the whole promise of one phrase.
    double largest_bonus() const { return largest_bonus_; }

  private:
    struct Node {
        std::int32_t failure = 0;      // node of the longest proper suffix
        std::int32_t first_child = 0;  // 0: none; the root is nobody's child
        std::int32_t next_sibling = 0;
        char byte = 0;
        double completed = 0.0;
        double promise = 0.0;
    };

    std::int32_t find_child(std::int32_t node, char byte) const;
    void add(std::string_view pattern, double bonus);
    void link();

    std::vector<Node> nodes_;
    double largest_bonus_ = 0.0;
};

}  // namespace asr
