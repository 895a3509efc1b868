// The ARPA text format of back-off n-gram models -> NGramModel.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <stdexcept>
#include <unordered_map>

#include "ngram.hpp"

namespace asr {

namespace {

constexpr double kLn10 = 2.302585092994045684;
constexpr std::string_view kUnknownText = "<unk>";
constexpr double kMissingUnknownLog10 = -100.0;  // kenlm's default for a model without <unk>

bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

std::string_view trim(std::string_view line) {
    while (!line.empty() && is_space(line.front())) line.remove_prefix(1);
    while (!line.empty() && is_space(line.back())) line.remove_suffix(1);
    return line;
}

// Lines with their numbers, for messages.
class LineReader {
  public:
    LineReader(std::string_view text, const std::string& name) : rest_(text), name_(name) {}

    bool next() {
        if (rest_.empty()) return false;
        const std::size_t end = rest_.find('\n');
        line_ = trim(rest_.substr(0, end));
        rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
        ++number_;
        return true;
    }
    bool next_nonempty() {
        while (next()) {
            if (!line_.empty()) return true;
        }
        return false;
    }
    std::string_view line() const { return line_; }

    [[noreturn]] void fail(const std::string& rule) const {
        throw std::invalid_argument(name_ + ":" + std::to_string(number_) + ": " + rule);
    }
    [[noreturn]] void fail_got(const std::string& rule, std::string_view got) const {
        fail(rule + ", got '" + std::string(got.substr(0, 80)) + "'");
    }

  private:
    std::string_view rest_;
    std::string_view line_;
    std::string name_;
    std::size_t number_ = 0;
};

// Splits off the first field; empty when none is left.
std::string_view take_field(std::string_view& line) {
    while (!line.empty() && is_space(line.front())) line.remove_prefix(1);
    std::size_t end = 0;
    while (end < line.size() && !is_space(line[end])) ++end;
    const std::string_view field = line.substr(0, end);
    line.remove_prefix(end);
    return field;
}

bool take_digits(std::string_view& field, double& value, int& num_digits) {
    const std::size_t before = field.size();
    for (; !field.empty() && std::isdigit(static_cast<unsigned char>(field.front()));
         field.remove_prefix(1)) {
        value = value * 10 + (field.front() - '0');
        ++num_digits;
    }
    return field.size() != before;
}

bool take_sign(std::string_view& field) {
    const bool negative = !field.empty() && field.front() == '-';
    if (negative || (!field.empty() && field.front() == '+')) field.remove_prefix(1);
    return negative;
}

// A decimal number, whatever the locale; false when `field` is anything else, or a log10 that is
// not finite as the model keeps it.
bool parse_number(std::string_view field, double& value) {
    const bool negative = take_sign(field);
    int num_digits = 0;
    value = 0.0;
    bool any = take_digits(field, value, num_digits);
    int num_decimals = 0;
    if (!field.empty() && field.front() == '.') {
        field.remove_prefix(1);
        any |= take_digits(field, value, num_decimals);
    }
    if (!any) return false;
    double exponent = 0.0;
    if (!field.empty() && (field.front() == 'e' || field.front() == 'E')) {
        field.remove_prefix(1);
        const bool shrinks = take_sign(field);
        int ignored = 0;
        if (!take_digits(field, exponent, ignored)) return false;
        if (shrinks) exponent = -exponent;
    }
    const double power = exponent - num_decimals;
    value = power < 0 ? value / std::pow(10.0, -power) : value * std::pow(10.0, power);
    if (negative) value = -value;
    return field.empty() && std::isfinite(static_cast<float>(value * kLn10));
}

// One n-gram as read, before its order is sorted.
struct Entry {
    NodeId parent;
    WordId word;
    float log_prob;
    float log_backoff;
};

class ArpaReader {
  public:
    ArpaReader(std::string_view text, const std::string& name) : lines_(text, name) {}

    NGramModel read() {
        read_counts();
        tables_.first_child.push_back(1);
        for (int order = 1; order <= order_; ++order) read_order(order);
        if (lines_.line() != "\\end\\") lines_.fail_got("expected \\end\\", lines_.line());
        return {{order_, id_of("<s>"), id_of("</s>")}, std::move(tables_)};
    }

  private:
    WordId id_of(std::string_view word) const {
        const auto found = ids_.find(word);
        return found == ids_.end() ? NGramModel::kUnknown : found->second;
    }

    void read_counts() {
        do {
            if (!lines_.next()) lines_.fail("no \\data\\ line: not an ARPA file");
        } while (lines_.line() != "\\data\\");
        while (lines_.next_nonempty() && lines_.line().substr(0, 6) == "ngram ") {
            std::string_view rest = lines_.line().substr(6);
            const std::size_t equals = rest.find('=');
            double order = 0;
            double count = 0;
            if (equals == std::string_view::npos ||
                !parse_number(trim(rest.substr(0, equals)), order) ||
                !parse_number(trim(rest.substr(equals + 1)), count) || count < 0 || count > 4e9 ||
                count != std::floor(count)) {
                lines_.fail_got("expected 'ngram ORDER=COUNT'", lines_.line());
            }
            if (order != static_cast<double>(counts_.size() + 1)) {
                lines_.fail_got("orders must be announced as 1, 2, 3, ...", lines_.line());
            }
            if (order > NGramModel::kMaxOrder) {
                lines_.fail("order must be <= " + std::to_string(NGramModel::kMaxOrder));
            }
            counts_.push_back(static_cast<std::size_t>(count));
        }
        order_ = static_cast<int>(counts_.size());
        double total = 2;  // the empty context and <unk>
        for (const std::size_t count : counts_) total += static_cast<double>(count);
        if (total >= 4294967296.0) lines_.fail("more than 2^32 n-grams");
        if (counts_.empty()) lines_.fail("\\data\\ must announce at least 'ngram 1=COUNT'");
    }

    void read_order(int order) {
        const std::string header = "\\" + std::to_string(order) + "-grams:";
        if (lines_.line() != header) lines_.fail_got("expected " + header, lines_.line());
        std::vector<Entry> entries;
        if (order == 1) entries.push_back({0, NGramModel::kUnknown, 0.0F, 0.0F});
        std::size_t num_read = 0;
        for (;; ++num_read) {
            if (!lines_.next_nonempty()) {
                lines_.fail("the file ends within " + header + " (no \\end\\ line)");
            }
            if (is_header(lines_.line())) break;
            read_entry(order, entries);
        }
        const std::size_t announced = counts_[static_cast<std::size_t>(order) - 1];
        if (num_read != announced) {
            lines_.fail(header + " must hold the " + std::to_string(announced) +
                        " n-grams that \\data\\ announces, got " + std::to_string(num_read));
        }
        if (order == 1 && !has_unknown_) {
            entries[0].log_prob = static_cast<float>(kMissingUnknownLog10 * kLn10);
        }
        append_order(order, entries);
    }

    // A section header or the end mark; n-grams begin with a number.
    static bool is_header(std::string_view line) { return line.front() == '\\'; }

    void read_entry(int order, std::vector<Entry>& entries) {
        std::string_view rest = lines_.line();
        double log10_prob = 0.0;
        double log10_backoff = 0.0;
        const std::string_view prob_field = take_field(rest);
        if (!parse_number(prob_field, log10_prob)) {
            lines_.fail_got("log10 probability must be a finite number", prob_field);
        }
        if (log10_prob > 0) lines_.fail_got("log10 probability must be <= 0", prob_field);
        NodeId context = 0;
        std::string_view word;
        for (int k = 1; k <= order; ++k) {
            word = take_field(rest);
            if (word.empty()) {
                lines_.fail_got("expected " + std::to_string(order) + " words", lines_.line());
            }
            if (k < order) context = context_of(context, word);
        }
        const std::string_view backoff_field = take_field(rest);
        if (!backoff_field.empty() && !parse_number(backoff_field, log10_backoff)) {
            lines_.fail_got("back-off weight must be a finite number", backoff_field);
        }
        if (!trim(rest).empty()) lines_.fail_got("unexpected field at the end", trim(rest));
        add_entry(
            {context, order == 1 ? 0 : known_word(word), static_cast<float>(log10_prob * kLn10),
             static_cast<float>(log10_backoff * kLn10)},
            order, word, entries);
    }

    void add_entry(Entry entry, int order, std::string_view word, std::vector<Entry>& entries) {
        if (order > 1) {
            entries.push_back(entry);
            return;
        }
        if (word == "<unk>" || word == "<UNK>") {
            if (has_unknown_) lines_.fail("<unk> stands twice in \\1-grams:");
            has_unknown_ = true;
            entries[0] = entry;
            return;
        }
        entry.word = static_cast<WordId>(entries.size());
        if (!ids_.emplace(word, entry.word).second) {
            lines_.fail_got("a word must stand once in \\1-grams:", word);
        }
        entries.push_back(entry);
    }

    WordId known_word(std::string_view word) const {
        if (word == "<unk>" || word == "<UNK>") return NGramModel::kUnknown;
        const auto found = ids_.find(word);
        if (found == ids_.end()) lines_.fail_got("every word needs a unigram", word);
        return found->second;
    }

    NodeId find_child(NodeId node, WordId word) const {
        if (node == 0) return word + 1;
        const auto begin = tables_.word.begin();
        const auto last = begin + tables_.first_child[node + 1];
        const auto child = std::lower_bound(begin + tables_.first_child[node], last, word);
        return child != last && *child == word ? static_cast<NodeId>(child - begin) : 0;
    }

    NodeId context_of(NodeId context, std::string_view word) const {
        const NodeId node = find_child(context, known_word(word));
        if (node == 0) {
            lines_.fail_got("the context of an n-gram must be an n-gram of the order below",
                            lines_.line());
        }
        return node;
    }

    // Numbers the nodes of one order and links each to its suffix.
    void append_order(int order, std::vector<Entry>& entries) {
        const auto precedes = [](const Entry& a, const Entry& b) {
            return a.parent != b.parent ? a.parent < b.parent : a.word < b.word;
        };
        std::sort(entries.begin(), entries.end(), precedes);
        if (order == 1) append_node({0, 0, 0.0F, 0.0F}, 0, true);
        const auto num_parents = static_cast<NodeId>(tables_.word.size());
        const bool extensible = order < order_;
        for (std::size_t i = 0; i < entries.size(); ++i) {
            const Entry& entry = entries[i];
            if (i > 0 && !precedes(entries[i - 1], entry)) {
                lines_.fail("an n-gram stands twice among those of order " + std::to_string(order));
            }
            close_parents(entry.parent);
            append_node(entry, order == 1 ? 0 : suffix_of(entry), extensible);
        }
        close_parents(num_parents);
        if (order == 1) store_words(entries);
    }

    // first_child[n + 1] is where the children of n end, known once a later parent's begin.
    void close_parents(NodeId parent) {
        while (tables_.first_child.size() <= parent) {
            tables_.first_child.push_back(static_cast<NodeId>(tables_.word.size()));
        }
    }

    void append_node(const Entry& entry, NodeId suffix, bool extensible) {
        tables_.word.push_back(entry.word);
        tables_.suffix.push_back(suffix);
        tables_.log_prob.push_back(entry.log_prob);
        if (extensible) tables_.log_backoff.push_back(entry.log_backoff);
    }

    NodeId suffix_of(const Entry& entry) const {
        for (NodeId context = tables_.suffix[entry.parent];; context = tables_.suffix[context]) {
            const NodeId node = find_child(context, entry.word);
            if (node != 0) return node;
        }
    }

    void store_words(const std::vector<Entry>& unigrams) {
        std::vector<std::string_view> words(unigrams.size(), kUnknownText);
        for (const auto& [text, id] : ids_) words[id] = text;
        WordTableBuilder spellings;
        for (const Entry& unigram : unigrams) {
            const std::string_view text = words[unigram.word];
            tables_.text_begin.push_back(tables_.texts.size());
            tables_.texts.insert(tables_.texts.end(), text.begin(), text.end());
            if (is_mark(text)) continue;
            if (spellings.add(text, unigram.word, unigram.log_prob) != kNoWord) {
                lines_.fail_got("two words must not share one hash", text);
            }
        }
        tables_.text_begin.push_back(tables_.texts.size());
        tables_.spellings = spellings.take();
    }

    static bool is_mark(std::string_view word) {
        return word == kUnknownText || word == "<s>" || word == "</s>";
    }

    LineReader lines_;
    int order_ = 0;
    NGramVectors tables_;
    std::vector<std::size_t> counts_;
    std::unordered_map<std::string_view, WordId> ids_;
    bool has_unknown_ = false;
};

}  // namespace

NGramModel read_arpa(std::string_view text, const std::string& name) {
    return ArpaReader(text, name).read();
}

}  // namespace asr
