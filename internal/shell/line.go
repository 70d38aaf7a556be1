package shell

import (
	"errors"
	"os"
	"strings"
)

// word is a word of a line.
type word struct {
	text   string
	quoted bool // some of it was in quotes: it is no switch and no operator
}

// stage is a command of a line, with where its input and output go.
type stage struct {
	words   []word
	from    string // "" is what is before it
	to      string // "" is what is behind it
	toFlags int
}

// errQuotes is about quotes that do not end.
var errQuotes = errors.New(`a quote (") is missing`)

// split divides a line into words. An operator is a word of its own. complete
// keeps the last word apart even if it is empty or its quotes do not end.
func split(line string, complete bool) ([]word, error) {
	var words []word
	var w word
	in := false // a word has begun
	end := func() {
		if in {
			words = append(words, w)
		}
		w, in = word{}, false
	}
	quoted := false
	for i := 0; i < len(line); i++ {
		ch := line[i]
		switch {
		case ch == '"':
			quoted = !quoted
			in, w.quoted = true, true
		case quoted:
			w.text += string(ch)
		case ch == ' ' || ch == '\t':
			end()
		case ch == '|' || ch == '<' || ch == '>':
			end()
			op := string(ch)
			if strings.HasPrefix(line[i:], ">>") {
				op = ">>"
				i++
			}
			words = append(words, word{text: op})
		default:
			in = true
			w.text += string(ch)
		}
	}
	if quoted && !complete {
		return nil, errQuotes
	}
	if complete && !in {
		return append(words, word{}), nil
	}
	end()
	return words, nil
}

// parseLine divides a line into commands.
func parseLine(line string) ([]stage, error) {
	trimmed := strings.TrimLeft(line, " \t@")
	if first, _, _ := strings.Cut(trimmed, " "); strings.HasPrefix(trimmed, "#") || strings.EqualFold(first, "rem") || trimmed == "" {
		return nil, nil
	}
	words, err := split(trimmed, false)
	if err != nil {
		return nil, err
	}
	stages := make([]stage, 1)
	for i := 0; i < len(words); i++ {
		w, st := words[i], &stages[len(stages)-1]
		op := ""
		if !w.quoted {
			op = w.text
		}
		switch op {
		case "|":
			if len(st.words) == 0 {
				return nil, errors.New("a command is missing before |")
			}
			stages = append(stages, stage{})
		case "<", ">", ">>":
			i++
			if i == len(words) || !words[i].quoted && strings.Contains("|<>>", words[i].text) {
				return nil, errors.New("a file is missing after " + op)
			}
			st.redirect(op, words[i].text)
		default:
			st.words = append(st.words, w)
		}
	}
	if len(stages[len(stages)-1].words) == 0 {
		return nil, errors.New("a command is missing")
	}
	return stages, nil
}

func (st *stage) redirect(op, name string) {
	switch op {
	case "<":
		st.from = name
	case ">":
		st.to, st.toFlags = name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC
	case ">>":
		st.to, st.toFlags = name, os.O_WRONLY|os.O_CREATE|os.O_APPEND
	}
}
