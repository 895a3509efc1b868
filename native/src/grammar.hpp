// A regular language of texts as a deterministic automaton over bytes.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace asr {

// Reads a text word by word, every word followed by one space. State 0 is the start.
class Grammar {
  public:
    static constexpr std::int32_t kRejected = -1;

    struct Arc {
        std::int32_t from;
        std::uint8_t byte;
        std::int32_t to;
    };

    // Throws std::invalid_argument when an arc leaves the states 0..num_states-1 or two arcs of a
    // state share a byte.
    Grammar(std::int32_t num_states, std::vector<Arc> arcs, const std::vector<bool>& accepting);

    std::int32_t step(std::int32_t state, std::string_view bytes) const;
    bool accepts(std::int32_t state) const { return accepting_[static_cast<std::size_t>(state)]; }

  private:
    std::vector<Arc> arcs_;               // sorted by (from, byte)
    std::vector<std::size_t> first_arc_;  // of each state, and one more
    std::vector<bool> accepting_;
};

}  // namespace asr
