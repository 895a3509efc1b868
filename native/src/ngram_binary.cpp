// The model as one block of bytes: a header, then the arrays of NGramTables one after the other,
// each on a multiple of 8 bytes.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "ngram.hpp"

namespace asr {

namespace {

constexpr std::size_t kNameSize = 6;  // what follows in kMagic is the version
constexpr char kMagic[8] = {'A', 'S', 'R', '-', 'L', 'M', '0', '2'};
constexpr std::uint64_t kByteOrder = 0x0102030405060708ull;
constexpr std::uint64_t kMaxCount = 1ull << 40;  // keeps sums of sizes within 64 bits
constexpr std::uint64_t kMaxNodes = 1ull << 32;

struct Header {
    char magic[8];
    std::uint64_t byte_order;
    std::uint64_t order;
    std::uint64_t sentence_start;
    std::uint64_t sentence_end;
    std::uint64_t num_nodes;
    std::uint64_t num_contexts;  // nodes below the highest order
    std::uint64_t num_words;
    std::uint64_t num_text_bytes;
    std::uint64_t num_slots;
    std::uint64_t checksum;  // of the fields above
};

std::uint64_t checksum_of(const Header& header) {
    const char* bytes = reinterpret_cast<const char*>(&header);
    return extend_hash(kEmptyWordHash, {bytes, sizeof(Header) - sizeof(header.checksum)});
}

// Visits the arrays in the order of the file with their sizes by the header.
template <class Tables, class Visitor>
void visit_arrays(Tables& tables, const Header& header, const Visitor& visit) {
    visit(tables.word, header.num_nodes);
    visit(tables.suffix, header.num_nodes);
    visit(tables.log_prob, header.num_nodes);
    visit(tables.log_backoff, header.num_contexts);
    visit(tables.first_child, header.num_contexts + 1);
    visit(tables.text_begin, header.num_words + 1);
    visit(tables.texts, header.num_text_bytes);
    visit(tables.spellings, header.num_slots);
}

std::uint64_t padded(std::uint64_t num_bytes) {
    return (num_bytes + 7) / 8 * 8;
}

// A file mapped for reading, until the last copy of the pointer goes.
std::shared_ptr<const char> map_file(const std::string& path, std::size_t& size) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) throw std::runtime_error(path + ": " + std::strerror(errno));
    struct stat status{};
    void* memory = MAP_FAILED;
    if (::fstat(file, &status) == 0 && status.st_size > 0) {
        size = static_cast<std::size_t>(status.st_size);
        memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
    }
    ::close(file);
    if (memory == MAP_FAILED) throw std::runtime_error(path + ": cannot be mapped");
    return {static_cast<const char*>(memory),
            [size](const char* begin) { ::munmap(const_cast<char*>(begin), size); }};
}

void check_header(const Header& header, std::uint64_t file_size, const std::string& path) {
    const auto require = [&path](bool holds, const char* rule) {
        if (!holds) throw std::invalid_argument(path + ": " + rule);
    };
    require(std::memcmp(header.magic, kMagic, kNameSize) == 0, "not a compiled model");
    require(std::memcmp(header.magic, kMagic, sizeof(kMagic)) == 0,
            "compiled by another version of asr: compile the ARPA file again");
    require(header.byte_order == kByteOrder, "compiled on a machine of another byte order");
    require(header.checksum == checksum_of(header), "damaged header");
    require(header.order >= 1 && header.order <= NGramModel::kMaxOrder, "order must be in 1..6");
    require(header.num_nodes < kMaxNodes && header.num_words < kMaxCount &&
                header.num_text_bytes < kMaxCount && header.num_slots < kMaxCount &&
                header.num_words >= 1 && header.num_words < header.num_nodes &&
                header.num_contexts >= 1 && header.num_contexts <= header.num_nodes &&
                header.sentence_start < header.num_words &&
                header.sentence_end < header.num_words && header.num_slots >= 1 &&
                (header.num_slots & (header.num_slots - 1)) == 0,
            "damaged header");
    std::uint64_t expected = sizeof(Header);
    NGramTables tables;
    visit_arrays(tables, header, [&expected](auto& array, std::uint64_t size) {
        expected += padded(size * sizeof(*array.begin()));
    });
    require(expected == file_size, "cut short, or longer than its header says");
}

}  // namespace

std::string to_binary(const NGramModel& model) {
    const NGramTables& tables = model.tables();
    Header header{};
    std::memcpy(header.magic, kMagic, sizeof(kMagic));
    header.byte_order = kByteOrder;
    header.order = static_cast<std::uint64_t>(model.order());
    header.sentence_start = model.shape().sentence_start;
    header.sentence_end = model.shape().sentence_end;
    header.num_nodes = tables.word.size();
    header.num_contexts = tables.log_backoff.size();
    header.num_words = model.num_words();
    header.num_text_bytes = tables.texts.size();
    header.num_slots = tables.spellings.size();
    header.checksum = checksum_of(header);
    std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
    visit_arrays(tables, header, [&bytes](const auto& array, std::uint64_t size) {
        const std::uint64_t num_bytes = size * sizeof(*array.begin());
        bytes.append(reinterpret_cast<const char*>(array.begin()), num_bytes);
        bytes.append(padded(num_bytes) - num_bytes, '\0');
    });
    return bytes;
}

NGramModel load_binary(const std::string& path) {
    std::size_t size = 0;
    const std::shared_ptr<const char> file = map_file(path, size);
    Header header{};
    std::memcpy(&header, file.get(), std::min(sizeof(header), size));
    check_header(header, size, path);
    NGramTables tables;
    const char* next = file.get() + sizeof(header);
    visit_arrays(tables, header, [&next](auto& array, std::uint64_t count) {
        using Element = std::remove_cv_t<std::remove_reference_t<decltype(*array.begin())>>;
        array = ArrayView<Element>(reinterpret_cast<const Element*>(next), count);
        next += padded(count * sizeof(Element));
    });
    const NGramShape shape{static_cast<int>(header.order),
                           static_cast<WordId>(header.sentence_start),
                           static_cast<WordId>(header.sentence_end)};
    return {shape, tables, file};
}

}  // namespace asr
