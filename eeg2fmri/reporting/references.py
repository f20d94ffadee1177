"""Works that a report cites, by the words that cite them."""

from __future__ import annotations

DOI = "https://doi.org/"
REFERENCES: dict[str, tuple[str, str]] = {
    "Allen et al. 2000": ("Allen, Josephs & Turner 2000, NeuroImage 12:230", f"{DOI}10.1006/nimg.2000.0599"),
    "Bartlett 1935": ("Bartlett 1935, J. R. Stat. Soc. 98:536", f"{DOI}10.2307/2342284"),
    "Benjamini & Hochberg 1995": (
        "Benjamini & Hochberg 1995, J. R. Stat. Soc. B 57:289",
        f"{DOI}10.1111/j.2517-6161.1995.tb02031.x",
    ),
    "Calhas & Henriques 2022": ("Calhas & Henriques 2022, arXiv 2203.03481", "https://arxiv.org/abs/2203.03481"),
    "de Cheveigné & Parra 2014": (
        "de Cheveigné & Parra 2014, NeuroImage 98:487",
        f"{DOI}10.1016/j.neuroimage.2014.05.068",
    ),
    "Efron & Tibshirani 1993": ("Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13", ""),
    "Fox et al. 2009": ("Fox et al. 2009, J. Neurophysiol. 101:3270", f"{DOI}10.1152/jn.90777.2008"),
    "Friston et al. 1998": ("Friston et al. 1998, NeuroImage 7:30", f"{DOI}10.1006/nimg.1997.0306"),
    "Friston et al. 2000": ("Friston et al. 2000, NeuroImage 12:196", f"{DOI}10.1006/nimg.2000.0609"),
    "Glover 1999": ("Glover 1999, NeuroImage 9:416", f"{DOI}10.1006/nimg.1998.0419"),
    "Kingma & Ba 2015": ("Kingma & Ba 2015, Adam, arXiv 1412.6980", "https://arxiv.org/abs/1412.6980"),
    "Niazy et al. 2005": ("Niazy et al. 2005, NeuroImage 28:720", f"{DOI}10.1016/j.neuroimage.2005.06.067"),
    "Phipson & Smyth 2010": (
        "Phipson & Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9:39",
        f"{DOI}10.2202/1544-6115.1585",
    ),
    "Theiler et al. 1992": ("Theiler et al. 1992, Physica D 58:77", f"{DOI}10.1016/0167-2789(92)90102-S"),
    "Wilcoxon 1945": ("Wilcoxon 1945, Biometrics Bulletin 1:80", f"{DOI}10.2307/3001968"),
}


def cited(text: str) -> list[tuple[str, str]]:
    """Return the works that a text cites, in the order of the alphabet, each with its address."""
    return [work for words, work in REFERENCES.items() if words in text]
