/* SPDX-License-Identifier: MIT
 * datetime.strftime of Python in the C locale, with no time zone: the directives of C99 and glibc's
 * flags, written out here so that neither locale nor time zone of the host changes a prompt. */
#include "text/jinja/value.h"

#include <string.h>

static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                   "Thursday", "Friday", "Saturday"};
static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};

typedef struct clockface {
    int year, month, day, hour, minute, second, weekday, yearday;
} clockface;

static int clamp(int v, int low, int high) {
    return v < low ? low : v > high ? high : v;
}

static bool leap(int y) {
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

/* Weeks of the year when weeks begin on day first (0 Sunday, 1 Monday). */
static int week(const clockface *t, int first) {
    return (t->yearday + 7 - (t->weekday - first + 7) % 7) / 7;
}

/* ISO 8601 week and its year. */
static int iso_week(const clockface *t, int *year) {
    int wday = (t->weekday + 6) % 7;
    int w = (t->yearday - wday + 10) / 7;
    *year = t->year;
    if (w < 1) {
        --*year;
        int days_before = leap(*year) ? 366 : 365;
        return (t->yearday + days_before - wday + 10) / 7;
    }
    int days_here = leap(t->year) ? 366 : 365;
    if (w == 53 && t->yearday - wday + 3 >= days_here) {
        ++*year;
        return 1;
    }
    return w;
}

typedef struct field {
    int value, width;
    char pad;
} field;

static bool number_field(const clockface *t, char code, field *f) {
    int year, hour12 = t->hour % 12 ? t->hour % 12 : 12;
    *f = (field){0, 2, '0'};
    switch (code) {
    case 'd':
        f->value = t->day;
        return true;
    case 'e':
        *f = (field){t->day, 2, ' '};
        return true;
    case 'm':
        f->value = t->month + 1;
        return true;
    case 'y':
        f->value = t->year % 100;
        return true;
    case 'Y':
        *f = (field){t->year, 0, '0'};
        return true;
    case 'C':
        f->value = t->year / 100;
        return true;
    case 'H':
        f->value = t->hour;
        return true;
    case 'I':
        f->value = hour12;
        return true;
    case 'k':
        *f = (field){t->hour, 2, ' '};
        return true;
    case 'l':
        *f = (field){hour12, 2, ' '};
        return true;
    case 'M':
        f->value = t->minute;
        return true;
    case 'S':
        f->value = t->second;
        return true;
    case 'f':
        *f = (field){0, 6, '0'};
        return true;
    case 'j':
        *f = (field){t->yearday + 1, 3, '0'};
        return true;
    case 'U':
        f->value = week(t, 0);
        return true;
    case 'W':
        f->value = week(t, 1);
        return true;
    case 'V':
        f->value = iso_week(t, &year);
        return true;
    case 'G':
        (void)iso_week(t, &year);
        *f = (field){year, 0, '0'};
        return true;
    case 'g':
        (void)iso_week(t, &year);
        f->value = year % 100;
        return true;
    case 'u':
        *f = (field){t->weekday ? t->weekday : 7, 1, '0'};
        return true;
    case 'w':
        *f = (field){t->weekday, 1, '0'};
        return true;
    default:
        return false;
    }
}

static const char *composite(char code) {
    switch (code) {
    case 'c':
        return "%a %b %e %H:%M:%S %Y";
    case 'D':
    case 'x':
        return "%m/%d/%y";
    case 'F':
        return "%Y-%m-%d";
    case 'r':
        return "%I:%M:%S %p";
    case 'R':
        return "%H:%M";
    case 'T':
    case 'X':
        return "%H:%M:%S";
    case 'n':
        return "\n";
    case 't':
        return "\t";
    case '%':
        return "%";
    case 'z':
    case 'Z':
        return "";
    default:
        return NULL;
    }
}

static bool put_word(jstate *st, ib_buf *b, const clockface *t, char code, char flag) {
    const char *word;
    char text[16];
    size_t n = 3;
    if (code == 'p' || code == 'P') {
        word = t->hour < 12 ? "AM" : "PM";
        n = 2;
    } else {
        word = code == 'a' || code == 'A' ? days[t->weekday] : months[t->month];
        if (code == 'A' || code == 'B')
            n = strlen(word);
    }
    for (size_t i = 0; i < n; i++) {
        char c = word[i];
        bool low = code == 'P' || (flag == '#' && code == 'p');
        if (low && c >= 'A' && c <= 'Z')
            c = (char)(c + 32);
        if ((flag == '^' || (flag == '#' && code != 'p')) && c >= 'a' && c <= 'z')
            c = (char)(c - 32);
        text[i] = c;
    }
    return ib_jinja_put(st, b, text, n);
}

static bool put_number(jstate *st, ib_buf *b, field f, char flag) {
    char text[24];
    if (flag == '-')
        f.width = 0;
    if (flag == '_')
        f.pad = ' ';
    if (flag == '0')
        f.pad = '0';
    (void)snprintf(text, sizeof text, f.pad == ' ' ? "%*d" : "%0*d", f.width, f.value);
    return ib_jinja_puts(st, b, text);
}

static bool expand(jstate *st, ib_buf *b, const char *p, size_t n, const clockface *t) {
    for (size_t i = 0; i < n; i++) {
        field f;
        char flag = 0;
        size_t start = i;
        if (p[i] != '%' || i + 1 >= n) {
            if (!ib_jinja_put(st, b, p + i, 1))
                return false;
            continue;
        }
        i++;
        if (i + 1 < n && strchr("-_0^#", p[i]) && p[i])
            flag = p[i++];
        if (i + 1 < n && (p[i] == 'E' || p[i] == 'O'))
            i++;
        const char *parts = composite(p[i]);
        bool ok;
        if (number_field(t, p[i], &f))
            ok = put_number(st, b, f, flag);
        else if (p[i] && strchr("aAbBhpP", p[i]))
            ok = put_word(st, b, t, p[i], flag);
        else if (parts && p[i] != '%' && parts[0] == '%')
            ok = expand(st, b, parts, strlen(parts), t);
        else if (parts)
            ok = ib_jinja_puts(st, b, parts);
        else /* unknown: as written */
            ok = ib_jinja_put(st, b, p + start, i - start + 1);
        if (!ok)
            return false;
    }
    return true;
}

bool ib_jinja_strftime(jstate *st, const jstr *format, const struct tm *when, jval *out) {
    struct tm zero = {.tm_mday = 1, .tm_year = 70, .tm_wday = 4};
    const struct tm *w = when ? when : &zero;
    clockface t = {.year = clamp(w->tm_year, -1899, 8099) + 1900,
                   .month = clamp(w->tm_mon, 0, 11),
                   .day = clamp(w->tm_mday, 1, 31),
                   .hour = clamp(w->tm_hour, 0, 23),
                   .minute = clamp(w->tm_min, 0, 59),
                   .second = clamp(w->tm_sec, 0, 60),
                   .weekday = clamp(w->tm_wday, 0, 6),
                   .yearday = clamp(w->tm_yday, 0, 365)};
    ib_buf b;
    ib_buf_init(&b);
    bool ok = expand(st, &b, format->p, format->n, &t) &&
              ib_jinja_str_copy(st, b.len ? b.ptr : "", b.len, out);
    ib_buf_clear(&b);
    return ok;
}
