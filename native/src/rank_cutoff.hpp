// A running bound on what can still be among the best.
#pragma once

#include <array>
#include <cstdint>

#include "log_math.hpp"

namespace asr {

// Counts ranks in bins below a top and knows a threshold that at least `width` of them reach, so
// that whatever ranks lower need not even be looked at. Never drops one of the `width` best.
class RankCutoff {
  public:
    void start(double top, std::int32_t width) {
        top_ = top;
        width_ = width;
        counts_.fill(0);
        cut_ = kNumBins;
        num_inside_ = 0;
    }

    void add(double rank) {
        const double distance = (top_ - rank) * kBinsPerNat;
        if (!(distance < static_cast<double>(cut_))) return;
        ++counts_[distance > 0 ? static_cast<std::size_t>(distance) : 0];
        ++num_inside_;
        while (num_inside_ - counts_[cut_ - 1] >= width_) num_inside_ -= counts_[--cut_];
    }

    double threshold() const {
        return cut_ == kNumBins ? kLogZero : top_ - static_cast<double>(cut_) / kBinsPerNat;
    }

  private:
    static constexpr std::size_t kNumBins = 512;
    static constexpr double kBinsPerNat = 16.0;

    std::array<std::int32_t, kNumBins> counts_{};
    double top_ = 0.0;
    std::size_t cut_ = kNumBins;  // bins from here on are below the threshold
    std::int32_t num_inside_ = 0;
    std::int32_t width_ = 1;
};

}  // namespace asr
