# The verbs of a developer; each is one kind of ./test.
.PHONY: check unit property contract kernel golden conformance faults vm bench test

check unit property contract kernel golden conformance faults vm bench:
	./test $@

test:
	./test
