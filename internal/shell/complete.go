package shell

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// complete completes the word before pos: a command at the start of a line,
// else a path. choices are the words that it can become; if there is one, or
// they have more in common than was written, the line is longer.
func (s *Shell) complete(line string, pos int) (newLine string, newPos int, choices []string) {
	head := line[:pos]
	words, err := split(head, true)
	if err != nil || len(words) == 0 {
		return line, pos, nil
	}
	w := words[len(words)-1]
	first := len(words) == 1 || len(words) > 1 && words[len(words)-2].text == "|" && !words[len(words)-2].quoted
	start := wordStart(head)
	var found []candidate
	if first && !strings.ContainsAny(w.text, `/\:`) {
		found = completeCommand(w.text)
	} else {
		found = s.completePath(w.text)
	}
	if len(found) == 0 {
		return line, pos, nil
	}
	text := found[0].text
	for _, f := range found {
		choices = append(choices, f.shown)
		text = common(text, f.text)
	}
	ended := len(found) == 1 && !found[0].open
	if utf8.RuneCountInString(text) < utf8.RuneCountInString(w.text) { // they differ within what was written
		return line, pos, choices
	}
	text = quote(text, w.quoted, ended)
	return line[:start] + text + line[pos:], start + len(text), choices
}

// candidate is a word that another can become.
type candidate struct {
	text  string // of the whole word
	shown string // in a list
	open  bool   // more may follow, as in a directory
}

// wordStart returns where the last word of a line begins.
func wordStart(head string) int {
	quoted, start := false, 0
	for i := 0; i < len(head); i++ {
		switch ch := head[i]; {
		case ch == '"':
			quoted = !quoted
		case !quoted && strings.IndexByte(" \t|<>", ch) >= 0:
			start = i + 1
		}
	}
	return start
}

// quote puts a word with blanks into quotes, which end with the word. A blank
// follows what has ended.
func quote(text string, quoted, ended bool) string {
	if quoted || strings.ContainsAny(text, " |<>") {
		text = `"` + text
		if ended {
			text += `"`
		}
	}
	if ended {
		text += " "
	}
	return text
}

// completeCommand returns the commands that begin with a text.
func completeCommand(text string) []candidate {
	var found []candidate
	for _, c := range commands() {
		for _, name := range append([]string{c.name}, c.aliases...) {
			if strings.HasPrefix(name, strings.ToLower(text)) {
				found = append(found, candidate{text: name, shown: name})
			}
		}
	}
	slices.SortFunc(found, func(a, b candidate) int { return strings.Compare(a.text, b.text) })
	return found
}

// maxChoices is how many names are shown.
const maxChoices = 500

// completePath returns the paths that begin with a text, without regard to
// case. A directory ends in the kind of slash that the text has.
func (s *Shell) completePath(text string) []candidate {
	dir, last := splitPath(text)
	at := dir
	if at == "" {
		at = "."
	}
	entries, err := s.ns.ReadDir(at)
	if err != nil {
		return nil
	}
	slash := `\`
	if strings.Contains(text, "/") || !strings.Contains(text, `\`) && s.ns.Drive() == 0 {
		slash = "/"
	}
	var found []candidate
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(strings.ToUpper(name), strings.ToUpper(last)) || show(name) != name {
			continue
		}
		c := candidate{text: dir + name, shown: name}
		if e.IsDir() {
			c.text, c.shown, c.open = c.text+slash, name+slash, true
		}
		if found = append(found, c); len(found) == maxChoices {
			break
		}
	}
	return found
}

// common returns what two words begin with, without regard to case, as the
// first one spells it.
func common(a, b string) string {
	ra, rb := []rune(a), []rune(b)
	n := 0
	for n < min(len(ra), len(rb)) && strings.EqualFold(string(ra[n]), string(rb[n])) {
		n++
	}
	return string(ra[:n])
}
