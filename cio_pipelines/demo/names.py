"""Given and family names by script, as pairs of which each half is drawn apart."""

from __future__ import annotations

PLAIN = "latin"
"""The script of everybody who is in none of the others."""

NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    PLAIN: (
        ("Alice", "Smith"),
        ("Ben", "Jones"),
        ("Carla", "Rossi"),
        ("David", "Miller"),
        ("Emma", "Brown"),
        ("Frank", "Weber"),
        ("Grace", "Taylor"),
        ("Hugo", "Martin"),
        ("Irene", "O'Connor"),
        ("Jack", "van der Berg"),
        ("Karen", "Wilson"),
        ("Liam", "Silva"),
        ("Mary Ann", "Costa"),
        ("Nina", "Novak"),
        ("Oscar", "Larsen"),
        ("Paula", "Smith-Jones"),
    ),
    "latin_diacritics": (
        ("Zoë", "Brontë"),
        ("Łukasz", "Żółć"),
        ("Jürgen", "Müßig"),
        ("François", "Lefèvre"),
        ("Søren", "Ærø"),
        ("Nguyễn", "Trần"),
        ("Şükrü", "Çağlar"),
        # written with combining marks, so that bytes differ from what looks the same
        ("Rene\u0301", "Ange\u0301lique"),
    ),
    "cyrillic": (("Ольга", "Иванова"), ("Дмитрий", "Щербаков"), ("Їжак", "Ґудзь"), ("Ђорђе", "Љубић")),
    "greek": (("Ελένη", "Παπαδοπούλου"), ("Γιώργος", "Αγγελόπουλος"), ("Ζωή", "Ψαρρά")),
    "arabic": (("محمد", "الهاشمي"), ("فاطمة", "بن علي"), ("نور", "حدّاد")),
    "hebrew": (("נועה", "כהן"), ("יוסף", "לוי"), ("שׂרה", "מזרחי")),
    "han": (("小明", "王"), ("麗華", "陳"), ("𠮷", "𠮷野家")),
    "hangul": (("민준", "김"), ("서연", "이"), ("하은", "박")),
    "kana": (("さくら", "やまだ"), ("タロウ", "サトウ"), ("ﾊﾅｺ", "ｽｽﾞｷ")),
    "devanagari": (("प्रिया", "शर्मा"), ("अर्जुन", "त्रिपाठी"), ("क्षितिज", "कृष्णन")),
    # surrogate pairs, a skin tone, a zero-width-joiner family and a flag
    "emoji": (("😀 Max", "🚀"), ("Ana 👩🏽‍🚀", "👨‍👩‍👧"), ("🇩🇪", "Ünal 🎉")),
}


def name_rows() -> list[dict[str, object]]:
    """One row a pair: its script, its position there (from 0), how many pairs the script has, both names."""
    return [
        {"script": script, "position": position, "size": len(pairs), "first": first, "last": last}
        for script, pairs in NAMES.items()
        for position, (first, last) in enumerate(pairs)
    ]
