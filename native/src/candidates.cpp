#include "candidates.hpp"

#include <array>

namespace asr {

void Candidates::finish() {
    keep_best();
    if (bottom_ >= threshold_) return;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < count_; ++i) {
        items_[kept] = items_[i];
        kept += items_[i].rank >= threshold_;
    }
    count_ = kept;
}

// Twice the width, so that the best are sought seldom; grows slowly, since widths may be huge.
void Candidates::make_room() {
    constexpr std::size_t kSmallest = 64;
    const std::size_t most = std::max(kSmallest, 2 * width_);
    if (items_.size() < most) {
        items_.resize(std::min(most, std::max(kSmallest, 2 * items_.size())));
    } else {
        keep_best();
    }
}

// Selection by counting: what std::nth_element does, with no branch that cannot be predicted.
void Candidates::keep_best() {
    if (count_ <= width_) return;
    const double range = top_ - bottom_;
    // Ranks that are all alike, or infinite by a damaged model, have no bins.
    const bool has_bins = range > 1e-9 && range < -kLogZero;
    boundary_.clear();
    if (!has_bins) boundary_.assign(begin(), end());
    const std::size_t inside = has_bins ? keep_bins_above_cut(range) : 0;
    const auto better = [](const Candidate& a, const Candidate& b) { return a.rank > b.rank; };
    const auto last = boundary_.begin() + static_cast<std::ptrdiff_t>(width_ - inside - 1);
    std::nth_element(boundary_.begin(), last, boundary_.end(), better);
    std::copy(boundary_.begin(), last + 1, items_.begin() + static_cast<std::ptrdiff_t>(inside));
    bottom_ = last->rank;
    threshold_ = std::max(threshold_, bottom_);
    count_ = width_;
}

// Finds the bin of ranks that holds the last place, moves to the front what stands in better ones
// and to boundary_ what stands in it; returns the number of the former.
std::size_t Candidates::keep_bins_above_cut(double range) {
    constexpr std::size_t kNumBins = 64;
    const double scale = (kNumBins - 0.5) / range;
    const auto bin_of = [top = top_, scale](const Candidate& candidate) {
        return static_cast<std::size_t>(static_cast<int>((top - candidate.rank) * scale));
    };
    std::array<std::size_t, kNumBins> counts{};
    for (const Candidate& candidate : *this) ++counts[bin_of(candidate)];
    std::size_t cut = 0;
    for (std::size_t better = counts[0]; better < width_; better += counts[cut]) ++cut;
    boundary_.resize(counts[cut] + 1);  // and one to write what does not belong
    std::size_t inside = 0;
    std::size_t on_boundary = 0;
    for (std::size_t i = 0; i < count_; ++i) {
        const Candidate candidate = items_[i];
        const std::size_t bin = bin_of(candidate);
        boundary_[on_boundary] = candidate;
        on_boundary += bin == cut;
        items_[inside] = candidate;
        inside += bin < cut;
    }
    boundary_.pop_back();
    return inside;
}

}  // namespace asr
