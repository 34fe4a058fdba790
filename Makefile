# The verbs of a developer; each is one kind of ./test.
.PHONY: check unit property contract kernel golden conformance faults bench test

check unit property contract kernel golden conformance faults bench:
	./test $@

test:
	./test
