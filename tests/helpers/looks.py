"""napari's themes, and how well text can be read on them."""

THEMES = {"dark": ("#23242b", "#f0f1f2"), "light": ("#ebe7e6", "#1e1e21")}  # napari's


def style(theme):
    background, text = THEMES[theme]
    return f"QWidget {{ background-color: {background}; color: {text}; }}"


def contrast(one, two):
    """Return the contrast of WCAG 2: text needs 4.5."""
    high, low = sorted((luminance(one), luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(rgb):
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (value / 255 for value in rgb)
    ]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
