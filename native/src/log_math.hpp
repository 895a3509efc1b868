// Sums of probabilities that are kept as natural logarithms.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <limits>

namespace asr {

constexpr double kLogZero = -std::numeric_limits<double>::infinity();

// log1p(exp(-gap)) for 0 <= gap < kMaxGap as a Taylor polynomial about the middle of each 1/16:
// libm's exp and log1p cost five times as much, and this is the innermost operation of the search.
// Remainder: max|f^(6)| / 6! * (1/32)^6 < 4e-13.
class SoftplusTable {
  public:
    static constexpr double kMaxGap = 37.0;  // exp(-37) is below half a unit in the last place of 1
    static constexpr int kCellsPerNat = 16;

    SoftplusTable() {
        for (std::size_t cell = 0; cell < cells_.size(); ++cell) {
            const double middle = (static_cast<double>(cell) + 0.5) / kCellsPerNat;
            const double s = 1.0 / (1.0 + std::exp(middle));
            const double q = s * (1 - s);
            cells_[cell] = {std::log1p(std::exp(-middle)),
                            -s,
                            q / 2,
                            -q * (1 - 2 * s) / 6,
                            q * (1 - 6 * q) / 24,
                            -q * (1 - 2 * s) * (1 - 12 * q) / 120};
        }
    }

    double operator()(double gap) const {
        const auto cell = static_cast<std::size_t>(gap * kCellsPerNat);
        const double x = gap - (static_cast<double>(cell) + 0.5) / kCellsPerNat;
        const auto& c = cells_[cell];
        const double x2 = x * x;  // three short chains instead of one long: half the latency
        return (c[0] + x * c[1]) + x2 * ((c[2] + x * c[3]) + x2 * (c[4] + x * c[5]));
    }

  private:
    std::array<std::array<double, 6>, static_cast<std::size_t>(kMaxGap* kCellsPerNat)> cells_;
};

inline const SoftplusTable kSoftplus;

// ln(exp(a) + exp(b)); either may be -inf, neither +inf or NaN.
inline double log_add(double a, double b) {
    if (a < b) {
        const double swap = a;
        a = b;
        b = swap;
    }
    const double gap = a - b;
    // Written so that the NaN of (-inf) - (-inf) takes this branch too.
    if (!(gap < SoftplusTable::kMaxGap)) return a;
    return a + kSoftplus(gap);
}

}  // namespace asr
