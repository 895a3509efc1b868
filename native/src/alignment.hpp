// How a labelling lies in an utterance: the probability of all its alignments, and the best one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "frames.hpp"
#include "hypothesis.hpp"
#include "log_math.hpp"

namespace asr {

using Labelling = std::vector<std::int32_t>;

// A labelling's states are blank, token, blank, ..., blank. At each frame only those are looked at
// that are not `width` nats behind the best: the work grows with the utterance, not its square.
template <class Float>
class Alignment {
  public:
    Alignment(const Frames<Float>& frames, std::int32_t blank, const Labelling& labelling,
              double width)
        : frames_(frames), blank_(blank), labelling_(labelling), width_(width) {
        const std::size_t num_states = 2 * labelling.size() + 1;
        mass_.assign(num_states, kLogZero);
        best_.assign(num_states, kLogZero);
        if (frames.num_frames == 0) mass_[0] = 0.0;
        for (std::int32_t t = 0; t < frames.num_frames; ++t) advance(t);
    }

    // ln of the probability of all alignments.
    double log_mass() const {
        if (labelling_.empty()) return mass_.back();
        return log_add(mass_.back(), mass_[mass_.size() - 2]);
    }
    // The frame of each token's spike on the best of them, of which there is one.
    std::vector<Emission> emissions() const {
        std::vector<Emission> emissions;
        for (const std::int32_t token : labelling_) {
            emissions.push_back({token, 0, static_cast<float>(kLogZero)});
        }
        std::size_t s = best_.size() - 1;
        if (s > 0 && best_[s - 1] > best_[s]) --s;
        for (std::int32_t t = frames_.num_frames; t-- > 0;) {
            if (s % 2) {
                Emission& emission = emissions[s / 2];
                const auto log_prob = static_cast<float>(frames_.row(t)[emission.token]);
                if (log_prob >= emission.log_prob) emission = {emission.token, t, log_prob};
            }
            const Band& band = bands_[static_cast<std::size_t>(t)];
            s -= steps_[band.offset + s - band.begin];
        }
        return emissions;
    }

  private:
    struct Band {
        std::size_t begin;   // first state
        std::size_t offset;  // of its step
    };

    void advance(std::int32_t t) {
        const Float* row = frames_.row(t);
        const std::size_t end = std::min(mass_.size(), end_ + 2);
        bands_.push_back({begin_, steps_.size()});
        steps_.resize(steps_.size() + end - begin_);
        for (std::size_t s = end; s-- > begin_;) {
            const double log_prob = row[s % 2 ? labelling_[s / 2] : blank_];
            unsigned char step = 0;
            double from = t == 0 ? 0.0 : best_[s];
            double total = t == 0 ? 0.0 : mass_[s];
            for (std::size_t k = 1; k <= 2 && t > 0 && s >= begin_ + k; ++k) {
                if (k == 2 && !may_skip(s)) break;
                total = log_add(total, mass_[s - k]);
                if (best_[s - k] > from) from = best_[s - k], step = static_cast<unsigned char>(k);
            }
            best_[s] = from + log_prob;
            mass_[s] = total + log_prob;
            steps_[bands_.back().offset + s - begin_] = step;
        }
        end_ = end;
        const double largest = *std::max_element(state(mass_, begin_), state(mass_, end_));
        while (begin_ < end_ && mass_[begin_] < largest - width_) drop(begin_++);
        while (begin_ < end_ && mass_[end_ - 1] < largest - width_) drop(--end_);
    }

    bool may_skip(std::size_t s) const {
        return s % 2 && labelling_[s / 2] != labelling_[s / 2 - 1];
    }
    void drop(std::size_t s) { best_[s] = mass_[s] = kLogZero; }
    static std::vector<double>::const_iterator state(const std::vector<double>& of, std::size_t s) {
        return of.begin() + static_cast<std::ptrdiff_t>(s);
    }

    const Frames<Float>& frames_;
    std::int32_t blank_;
    const Labelling& labelling_;
    double width_;
    std::size_t begin_ = 0;  // states begin_..end_ are looked at
    std::size_t end_ = 0;
    std::vector<double> mass_;  // ln, over all paths to each state after the last frame
    std::vector<double> best_;  // of the best path
    std::vector<Band> bands_;   // of each frame
    std::vector<unsigned char> steps_;
};

}  // namespace asr
