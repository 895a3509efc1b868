#include "grammar.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace asr {

Grammar::Grammar(std::int32_t num_states, std::vector<Arc> arcs, const std::vector<bool>& accepting)
    : arcs_(std::move(arcs)), accepting_(accepting) {
    const auto is_state = [num_states](std::int32_t s) { return s >= 0 && s < num_states; };
    if (num_states < 1 || accepting_.size() != static_cast<std::size_t>(num_states)) {
        throw std::invalid_argument("grammar must have one acceptance flag per state");
    }
    const auto precedes = [](const Arc& a, const Arc& b) {
        return a.from != b.from ? a.from < b.from : a.byte < b.byte;
    };
    std::sort(arcs_.begin(), arcs_.end(), precedes);
    for (std::size_t i = 0; i < arcs_.size(); ++i) {
        if (!is_state(arcs_[i].from) || !is_state(arcs_[i].to)) {
            throw std::invalid_argument("grammar arc between states that do not exist");
        }
        if (i > 0 && !precedes(arcs_[i - 1], arcs_[i])) {
            throw std::invalid_argument("grammar must be deterministic");
        }
        while (first_arc_.size() <= static_cast<std::size_t>(arcs_[i].from)) {
            first_arc_.push_back(i);
        }
    }
    first_arc_.resize(static_cast<std::size_t>(num_states) + 1, arcs_.size());
}

std::int32_t Grammar::step(std::int32_t state, std::string_view bytes) const {
    for (const char byte : bytes) {
        const auto wanted = static_cast<std::uint8_t>(byte);
        const auto last = arcs_.begin() + static_cast<std::ptrdiff_t>(
                                              first_arc_[static_cast<std::size_t>(state) + 1]);
        const auto arc = std::lower_bound(
            arcs_.begin() +
                static_cast<std::ptrdiff_t>(first_arc_[static_cast<std::size_t>(state)]),
            last, wanted, [](const Arc& a, std::uint8_t b) { return a.byte < b; });
        if (arc == last || arc->byte != wanted) return kRejected;
        state = arc->to;
    }
    return state;
}

}  // namespace asr
