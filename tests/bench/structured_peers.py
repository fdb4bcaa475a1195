#!/usr/bin/env python3
"""Token masks of XGrammar and llguidance on the cases, vocabulary and texts of `structured_bench --dump FILE`: one thread, from Python.

    structured_peers.py FILE        (pip install xgrammar llguidance)

What a call from Python costs (about a microsecond) is in their figures. A text that a peer does not take (another white space, other
digits) ends there; the tokens that it took count.
"""
import json
import sys
import time


def xgrammar_cases(dump):
    import xgrammar
    vocabulary = [bytes.fromhex(token) for token in dump["vocabulary"]]
    info = xgrammar.TokenizerInfo(vocabulary, vocab_type=xgrammar.VocabType.RAW, vocab_size=len(vocabulary), stop_token_ids=[len(vocabulary) - 1])
    for case in dump["cases"]:
        compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        start = time.perf_counter()
        kind, text = case["kind"], case["text"]
        compiled = (compiler.compile_builtin_json_grammar() if kind == 0 else compiler.compile_json_schema(text) if kind == 1
                    else compiler.compile_regex(text) if kind == 2 else compiler.compile_grammar(text))
        seconds = time.perf_counter() - start
        mask = xgrammar.allocate_token_bitmask(1, len(vocabulary))

        def follow(tokens, times):
            matcher = xgrammar.GrammarMatcher(compiled)
            for token in tokens:
                begin = time.perf_counter()
                matcher.fill_next_token_bitmask(mask)
                if not matcher.accept_token(token):
                    return
                times.append(time.perf_counter() - begin)
        yield case, seconds, follow


def llguidance_cases(dump):
    import llguidance
    import llguidance.numpy
    vocabulary = [bytes.fromhex(token) for token in dump["vocabulary"]]

    class Wrapper:
        eos_token_id = len(vocabulary) - 1
        bos_token_id = None
        tokens = [token or b"\xff<special>" for token in vocabulary]
        special_token_ids = [len(vocabulary) - 1]

        def __call__(self, text):
            return [vocabulary.index(bytes([byte])) for byte in (text if isinstance(text, bytes) else text.encode())]

    tokenizer = llguidance.LLTokenizer(llguidance.TokenizerWrapper(Wrapper()))
    for case in dump["cases"]:
        start = time.perf_counter()
        kind, text = case["kind"], case["text"]
        if kind == 4:
            grammar = llguidance.grammar_from("lark", llguidance.gbnf_to_lark.gbnf_to_lark(text)) if hasattr(llguidance, "gbnf_to_lark") else None
            if grammar is None:
                continue
        else:
            grammar = llguidance.grammar_from("json_schema" if kind < 2 else "regex", '{"type":"object"}' if kind == 0 else text)
        llguidance.LLMatcher(tokenizer, grammar)
        seconds = time.perf_counter() - start
        mask = llguidance.numpy.allocate_token_bitmask(1, len(vocabulary))

        def follow(tokens, times):
            matcher = llguidance.LLMatcher(tokenizer, grammar)
            for token in tokens:
                begin = time.perf_counter()
                llguidance.numpy.fill_next_token_bitmask(matcher, mask)
                if not matcher.consume_token(token):
                    return
                times.append(time.perf_counter() - begin)
        yield case, seconds, follow


def main():
    dump = json.load(open(sys.argv[1]))
    print("peer,case,compile_ms,us_mean,us_p50,us_p99,tokens")
    for name, cases in (("xgrammar", xgrammar_cases), ("llguidance", llguidance_cases)):
        try:
            for case, seconds, follow in cases(dump):
                half = len(case["texts"]) // 2
                for tokens in case["texts"][:half]:
                    follow(tokens, [])
                times = []
                for tokens in case["texts"][half:]:
                    follow(tokens, times)
                times = sorted(1e6 * t for t in times) or [0]
                print(f'{name},"{case["name"]}",{1000 * seconds:.1f},{sum(times) / len(times):.1f},{times[len(times) // 2]:.1f},{times[len(times) * 99 // 100]:.1f},{len(times)}', flush=True)
        except ImportError as error:
            print(f"# {name}: {error}")


if __name__ == "__main__":
    main()
