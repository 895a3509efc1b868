"""Letters of languages, as alphabets of recognisers begin.

The main exemplar characters of Unicode's CLDR 48 (as ICU 78.3 gives them), lower case, without
sequences of letters, apostrophes and what is formatting alone; no package of wheels alone carries
them. Languages whose characters are thousands (Chinese, Japanese, Korean) are not here: an alphabet
of theirs comes from their texts.

Source: Unicode CLDR, copyright 1991-2025 Unicode, Inc., under the Unicode License v3
    (https://www.unicode.org/license.txt), which permits use and redistribution with this notice.
"""

# Where an apostrophe is written inside words that are said as one.
WITH_APOSTROPHE = frozenset(
    {"af", "be", "ca", "cy", "en", "eu", "fr", "ga", "it", "mt", "nl", "sq", "sw", "uk", "uz"}
)
# Where words have no spaces between them: texts are written without any, and scored by character.
WITHOUT_SPACES = frozenset({"ja", "km", "lo", "my", "th", "yue", "zh"})

LETTERS = {
    "af": "abcdefghijklmnopqrstuvwxyzáâèéêëîïôöû",
    "ar": "ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىيًٌٍَُِّْٰ",
    "az": "abcdefghijklmnopqrstuvxyzçöüğışə",
    "be": "абвгдежзйклмнопрстуфхцчшыьэюяёіў",
    "bg": "абвгдежзийклмнопрстуфхцчшщъьюя",
    "bn": "ঁংঃঅআইঈউঊঋঌএঐওঔকখগঘঙচছজঝঞটঠডঢণতথদধনপফবভমযরলশষসহ়ঽািীুূৃৄেৈোৌ্ৎৗৠৡৢৣ৺",
    "bs": "abcdefghijklmnoprstuvzćčđšž",
    "ca": "abcdefghijklmnopqrstuvwxyz·àçèéíïòóúü",
    "cs": "abcdefghijklmnopqrstuvwxyzáéíóúýčďěňřšťůž",
    "cy": "abcdefghijlmnoprstuwyàáâäèéêëìíîïòóôöùúûüýÿŵŷẁẃẅỳ",
    "da": "abcdefghijklmnopqrstuvwxyzåæø",
    "de": "abcdefghijklmnopqrstuvwxyzßäöü",
    "el": "ΐάέήίΰαβγδεζηθικλμνξοπρςστυφχψωϊϋόύώ",
    "en": "abcdefghijklmnopqrstuvwxyz",
    "es": "abcdefghijklmnopqrstuvwxyzáéíñóúü",
    "et": "abcdefghijklmnopqrstuvwxyzäõöüšž",
    "eu": "abcdefghijklmnopqrstuvwxyzçñ",
    "fa": "ءآأؤئابةتثجحخدذرزسشصضطظعغفقلمنهؤًٌٍّپچژکگی",
    "fi": "abcdefghijklmnopqrstuvwxyzäåöšž",
    "fr": "abcdefghijklmnopqrstuvwxyzàâæçèéêëîïôùûüÿœ",
    "ga": "abcdefghilmnoprstuáéíóú",
    "gl": "abcdefghijklmnopqrstuvwxyzáéíïñóúü",
    "he": "אבגדהוזחטיךכלםמןנסעףפץצקרשת",
    "hi": "ँंःअआइईउऊऋऌऍएऐऑओऔकखगघङचछजझञटठडढणतथदधनपफबभमयरलळवशषसह़ऽािीुूृॅेैॉोौ्ॐ",
    "hr": "abcdefghijklmnoprstuvzćčđšž",
    "hu": "abcdefghijklmnoprstuvyzáéíóöúüőű",
    "hy": "աբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆ",
    "id": "abcdefghijklmnopqrstuvwxyz",
    "is": "abdefghijklmnoprstuvxyáæéíðóöúýþ",
    "it": "abcdefghijklmnopqrstuvwxyzàèéìòù",
    "ka": "აბგდევზთიკლმნოპჟრსტუფქღყშჩცძწჭხჯჰ",
    "kk": "абвгдежзийклмнопрстуфхцчшщъыьэюяёіғқңүұһәө",
    "km": "កខគឃងចឆជឈញដឋឌឍណតថទធនបផពភមយរលវសហឡអឥឦឧឩឪឫឬឭឮឯឰឱឲឳាិីឹឺុូួើឿៀេែៃោៅំះៈ៉៊់៍័្",
    "ky": "абгдежзийклмнопрстухчшъыэюяёңүө",
    "lo": "ກຂຄງຈຊຍດຕຖທນບປຜຝພຟມຢຣລວສຫອຮຯະັາຳິີຶືຸູົຼຽເແໂໃໄໆ່້໊໋໌ໍໜໝ",
    "lt": "abcdefghijklmnoprstuvyząčėęįšūųž",
    "lv": "abcdefghijklmnoprstuvzāčēģīķļņšūž",
    "mk": "абвгдежзиклмнопрстуфхцчшѓѕјљњќџ",
    "ms": "abcdefghijklmnopqrstuvwxyz",
    "mt": "abdefghijklmnopqrstuvwxzàèìòùċġħż",
    "my": "ကခဂဃငစဆဇဈဉညဋဌဍဎဏတထဒဓနပဖဗဘမယရလဝသဟဠအဣဤဥဦဧဩဪါာိီုူေဲံ့း္်ျြွှဿ၏",
    "nb": "abcdefghijklmnopqrstuvwxyzàåæéòóôø",
    "ne": "ँंःअआइईउऊऋऌऍएऐऑओऔकखगघङचछजझञटठडढणतथदधनपफबभमयरलळवशषसह़ऽािीुूृॅेैॉोौ्ॐ",
    "nl": "abcdefghijklmnopqrstuvwxyzáäéëíïóöúü",
    "nn": "abcdefghijklmnopqrstuvwxyzàåæéòóôø",
    "pl": "abcdefghijklmnoprstuwyzóąćęłńśźż",
    "pt": "abcdefghijklmnopqrstuvwxyzàáâãçéêíòóôõú",
    "ro": "abcdefghijklmnopqrstuvwxyzâîășț",
    "ru": "абвгдежзийклмнопрстуфхцчшщъыьэюяё",
    "sk": "abcdefghijklmnopqrstuvwxyzáäéíóôúýčďĺľňŕšťž",
    "sl": "abcdefghijklmnoprstuvzčšž",
    "sq": "abcdefghijklmnopqrstuvxyzçë",
    "sr": "абвгдежзиклмнопрстуфхцчшђјљњћџ",
    "sv": "abcdefghijklmnopqrstuvwxyzàäåéö",
    "sw": "abcdefghijklmnoprstuvwyz",
    "ta": "ஃஅஆஇஈஉஊஎஏஐஒஓஔகஙசஜஞடணதநனபமயரறலளழவஷஸஹாிீுூெேைொோௌ்",
    "te": "ఁంఃఅఆఇఈఉఊఋఌఎఏఐఒఓఔకఖగఘఙచఛజఝఞటఠడఢణతథదధనపఫబభమయరఱలళవశషసహాిీుూృౄెేైొోౌ్ౕౖౠౡ",
    "th": "กขฃคฅฆงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรฤลฦวศษสหฬอฮฯะัาำิีึืฺุูเแโใไๅๆ็่้๊๋์ํ๎",
    "tr": "abcdefghijklmnoprstuvyzçöüğış",
    "uk": "абвгдежзийклмнопрстуфхцчшщьюяєіїґ",
    "ur": "ءابتثجحخدذرزسشصضطظعغفقلمنوٹپچڈڑژکگھہیے",
    "uz": "abcdefghijklmnopqrstuvxyz",
    "vi": (
        "abcdeghiklmnopqrstuvxyàáâãèéêìíòóôõùúýăđĩũơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ"
    ),
}
