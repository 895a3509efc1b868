// The prefixes that compete for a place in the beam at one frame.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "log_math.hpp"

namespace asr {

struct Candidate {
    double rank;        // total + bonus
    double label;       // of a new prefix
    std::int32_t from;  // slot it extends; kNone: `token` is the slot of a prefix that stays
    std::int32_t token;
};

// Keeps the `width` best, and of those what ranks at most `prune` (<= 0) below the best.
class Candidates {
  public:
    void start(std::int32_t width, double prune) {
        width_ = static_cast<std::size_t>(width);
        prune_ = prune;
        threshold_ = top_ = kLogZero;
        bottom_ = -kLogZero;
        count_ = 0;
    }

    // What ranks lower need not be added.
    double threshold() const { return threshold_; }
    void add(const Candidate& candidate) {
        if (!(candidate.rank >= threshold_)) return;
        if (count_ == items_.size()) make_room();
        items_[count_++] = candidate;
        top_ = std::max(top_, candidate.rank);
        bottom_ = std::min(bottom_, candidate.rank);
        threshold_ = std::max(threshold_, candidate.rank + prune_);
    }
    // Adds one more than the width, however low it ranks; after finish alone.
    void add_beyond(const Candidate& candidate) {
        if (count_ == items_.size()) items_.resize(count_ + 1);
        items_[count_++] = candidate;
    }
    // Raises the threshold to the worst rank when there are already `width`.
    void raise_threshold() {
        if (count_ >= width_) threshold_ = std::max(threshold_, bottom_);
    }
    // Drops all but those to keep.
    void finish();

    std::size_t size() const { return count_; }
    const Candidate* begin() const { return items_.data(); }
    const Candidate* end() const { return items_.data() + count_; }

  private:
    void make_room();
    void keep_best();
    std::size_t keep_bins_above_cut(double range);

    std::vector<Candidate> items_;     // the first count_ are in use
    std::vector<Candidate> boundary_;  // of keep_best
    std::size_t count_ = 0;
    std::size_t width_ = 1;
    double prune_ = 0.0;
    double threshold_ = kLogZero;
    double top_ = kLogZero;  // highest and lowest rank of those in use
    double bottom_ = -kLogZero;
};

}  // namespace asr
