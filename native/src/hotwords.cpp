#include "hotwords.hpp"

#include <algorithm>

namespace asr {

Hotwords::Hotwords(const std::vector<std::string>& phrases, double weight) : nodes_(1) {
    for (const auto& phrase : phrases) {
        const auto num_words = 1 + std::count(phrase.begin(), phrase.end(), ' ');
        add(" " + phrase + " ", weight * static_cast<double>(num_words));
    }
    link();
}

std::int32_t Hotwords::find_child(std::int32_t node, char byte) const {
    std::int32_t child = nodes_[static_cast<std::size_t>(node)].first_child;
    while (child != 0 && nodes_[static_cast<std::size_t>(child)].byte != byte) {
        child = nodes_[static_cast<std::size_t>(child)].next_sibling;
    }
    return child;
}

void Hotwords::add(std::string_view pattern, double bonus) {
    largest_bonus_ = std::max(largest_bonus_, bonus);
    std::int32_t node = 0;
    for (std::size_t depth = 1; depth <= pattern.size(); ++depth) {
        std::int32_t child = find_child(node, pattern[depth - 1]);
        if (child == 0) {
            child = static_cast<std::int32_t>(nodes_.size());
            Node created;
            created.byte = pattern[depth - 1];
            created.next_sibling = nodes_[static_cast<std::size_t>(node)].first_child;
            nodes_.push_back(created);
            nodes_[static_cast<std::size_t>(node)].first_child = child;
        }
        node = child;
        Node& reached = nodes_[static_cast<std::size_t>(node)];
        if (depth == pattern.size()) {
            reached.completed += bonus;
        } else if (depth > 1) {  // the space before a word promises nothing
            const double share =
                static_cast<double>(depth - 1) / static_cast<double>(pattern.size() - 1);
            reached.promise = std::max(reached.promise, share * bonus);
        }
    }
}

// Breadth first, so that a node's failure, which is shorter, is complete before it.
void Hotwords::link() {
    std::vector<std::int32_t> queue{0};
    for (std::size_t head = 0; head < queue.size(); ++head) {
        const std::int32_t node = queue[head];
        for (std::int32_t child = nodes_[static_cast<std::size_t>(node)].first_child; child != 0;
             child = nodes_[static_cast<std::size_t>(child)].next_sibling) {
            Node& linked = nodes_[static_cast<std::size_t>(child)];
            if (node != 0) {
                const std::int32_t failure = nodes_[static_cast<std::size_t>(node)].failure;
                linked.failure = step(failure, {&linked.byte, 1});
            }
            const Node& shorter = nodes_[static_cast<std::size_t>(linked.failure)];
            linked.completed += shorter.completed;
            linked.promise = std::max(linked.promise, shorter.promise);
            queue.push_back(child);
        }
    }
}

std::int32_t Hotwords::step(std::int32_t state, std::string_view bytes, double* bonus) const {
    for (const char byte : bytes) {
        std::int32_t child = find_child(state, byte);
        while (child == 0 && state != 0) {
            state = nodes_[static_cast<std::size_t>(state)].failure;
            child = find_child(state, byte);
        }
        state = child;
        if (bonus != nullptr) *bonus += nodes_[static_cast<std::size_t>(state)].completed;
    }
    return state;
}

}  // namespace asr
