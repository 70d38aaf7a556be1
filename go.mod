module github.com/fatkit/fatkit

go 1.25.0
