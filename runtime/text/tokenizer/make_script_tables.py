#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Writes ScriptTables.inc: the script of each code point as the PyPI package
# `tokenizers` 0.23.3 has it (Oniguruma, Unicode 16), found by asking it for
# every name below, and the short name of each script.
# Usage: make_script_tables.py > ScriptTables.inc
from inc_tables import of_range, ranges, write_table
from tokenizers import Regex, pre_tokenizers

# Long and short names of Unicode's PropertyValueAliases.txt; Unknown is what no
# other script has.
NAMES = """
Adlam Adlm, Ahom Ahom, Anatolian_Hieroglyphs Hluw, Arabic Arab, Armenian Armn,
Avestan Avst, Balinese Bali, Bamum Bamu, Bassa_Vah Bass, Batak Batk, Bengali
Beng, Bhaiksuki Bhks, Bopomofo Bopo, Brahmi Brah, Braille Brai, Buginese Bugi,
Buhid Buhd, Canadian_Aboriginal Cans, Carian Cari, Caucasian_Albanian Aghb,
Chakma Cakm, Cham Cham, Cherokee Cher, Chorasmian Chrs, Common Zyyy, Coptic
Copt Qaac, Cuneiform Xsux, Cypriot Cprt, Cypro_Minoan Cpmn, Cyrillic Cyrl,
Deseret Dsrt, Devanagari Deva, Dives_Akuru Diak, Dogra Dogr, Duployan Dupl,
Egyptian_Hieroglyphs Egyp, Elbasan Elba, Elymaic Elym, Ethiopic Ethi, Garay
Gara, Georgian Geor, Glagolitic Glag, Gothic Goth, Grantha Gran, Greek Grek,
Gujarati Gujr, Gunjala_Gondi Gong, Gurmukhi Guru, Gurung_Khema Gukh, Han Hani,
Hangul Hang, Hanifi_Rohingya Rohg, Hanunoo Hano, Hatran Hatr, Hebrew Hebr,
Hiragana Hira, Imperial_Aramaic Armi, Inherited Zinh Qaai,
Inscriptional_Pahlavi Phli, Inscriptional_Parthian Prti, Javanese Java, Kaithi
Kthi, Kannada Knda, Katakana Kana, Kawi Kawi, Kayah_Li Kali, Kharoshthi Khar,
Khitan_Small_Script Kits, Khmer Khmr, Khojki Khoj, Khudawadi Sind, Kirat_Rai
Krai, Lao Laoo, Latin Latn, Lepcha Lepc, Limbu Limb, Linear_A Lina, Linear_B
Linb, Lisu Lisu, Lycian Lyci, Lydian Lydi, Mahajani Mahj, Makasar Maka,
Malayalam Mlym, Mandaic Mand, Manichaean Mani, Marchen Marc, Masaram_Gondi
Gonm, Medefaidrin Medf, Meetei_Mayek Mtei, Mende_Kikakui Mend,
Meroitic_Cursive Merc, Meroitic_Hieroglyphs Mero, Miao Plrd, Modi Modi,
Mongolian Mong, Mro Mroo, Multani Mult, Myanmar Mymr, Nabataean Nbat,
Nag_Mundari Nagm, Nandinagari Nand, New_Tai_Lue Talu, Newa Newa, Nko Nkoo,
Nushu Nshu, Nyiakeng_Puachue_Hmong Hmnp, Ogham Ogam, Ol_Chiki Olck, Ol_Onal
Onao, Old_Hungarian Hung, Old_Italic Ital, Old_North_Arabian Narb, Old_Permic
Perm, Old_Persian Xpeo, Old_Sogdian Sogo, Old_South_Arabian Sarb, Old_Turkic
Orkh, Old_Uyghur Ougr, Oriya Orya, Osage Osge, Osmanya Osma, Pahawh_Hmong
Hmng, Palmyrene Palm, Pau_Cin_Hau Pauc, Phags_Pa Phag, Phoenician Phnx,
Psalter_Pahlavi Phlp, Rejang Rjng, Runic Runr, Samaritan Samr, Saurashtra
Saur, Sharada Shrd, Shavian Shaw, Siddham Sidd, SignWriting Sgnw, Sinhala
Sinh, Sogdian Sogd, Sora_Sompeng Sora, Soyombo Soyo, Sundanese Sund, Sunuwar
Sunu, Syloti_Nagri Sylo, Syriac Syrc, Tagalog Tglg, Tagbanwa Tagb, Tai_Le
Tale, Tai_Tham Lana, Tai_Viet Tavt, Takri Takr, Tamil Taml, Tangsa Tnsa,
Tangut Tang, Telugu Telu, Thaana Thaa, Thai Thai, Tibetan Tibt, Tifinagh Tfng,
Tirhuta Tirh, Todhri Todr, Toto Toto, Tulu_Tigalari Tutg, Ugaritic Ugar, Vai
Vaii, Vithkuqi Vith, Wancho Wcho, Warang_Citi Wara, Yezidi Yezi, Yi Yiii,
Zanabazar_Square Zanb
"""
# Planes 4 to 13 hold nothing yet, 15 and 16 are for private use.
POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000
          and (c < 0x40000 or 0xE0000 <= c < 0xE1000)]
CHUNKS = ["".join(map(chr, POINTS[i:i + 2048]))
          for i in range(0, len(POINTS), 2048)]


def members(name):
    split = pre_tokenizers.Split(Regex(rf"\p{{{name}}}+"), "removed")
    found = set()
    for chunk in CHUNKS:
        rest = set(chunk)
        for piece, _ in split.pre_tokenize_str(chunk):
            rest.difference_update(piece)
        found |= rest
    return {ord(c) for c in found}


def plain(name):
    return name.replace("_", "").lower()


def main():
    print("// SPDX-License-Identifier: Apache-2.0")
    print("//")
    print("// Written by make_script_tables.py, which says what this is.")
    print("// clang-format off: one entry a line would be too many lines.")
    names = [entry.split() for entry in NAMES.replace("\n", " ").split(",")]
    script = {}
    for index, aliases in enumerate(names):
        found = members(aliases[0])
        for alias in aliases[1:]:
            assert not pre_tokenizers.Split(
                Regex(rf"\p{{{alias}}}"), "removed").pre_tokenize_str(
                    chr(min(found))), alias
        for c in found:
            assert c not in script, (aliases, c)
            script[c] = index
    print()
    write_table("ScriptName scriptNames", [
        f'{{"{name}", {index}}}' for index, aliases in enumerate(names)
        for name in dict.fromkeys(map(plain, aliases))])
    print()
    write_table("ScriptRange scriptRanges", [
        of_range(*entry) for entry in ranges(script, script.get)])


if __name__ == "__main__":
    main()
