module github.com/linnaname/gdiamond/examples

go 1.26.0

require (
	github.com/linnaname/gdiamond v0.0.0
	github.com/stretchr/testify v1.12.1
	golang.org/x/time v0.16.0
)

replace github.com/linnaname/gdiamond => ../
