/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ChaCha20 of eight blocks in AVX2, one block per 32-bit lane, with Poly1305 of other data in the
 * integer registers between the rounds.  See aead_avx2_pass.h for what it computes.
 *
 * Why assembly: the state has sixteen words and AVX2 sixteen registers, so compilers move much of
 * it through memory, each in its way.  Here one word, number 11, lives in memory by design, and
 * its register is the temporary that rotations need.
 *
 * Register ymmN holds word N of the state of all eight blocks, N != 11.
 */
#include "lib/crypto/aead_avx2_pass.h"

#if defined(__x86_64__)

#define PASS   %rdi /* struct pass */
#define DATA   %rsi /* of the Poly1305 work at hand */
#define UNITS  %rcx /* left of it, beside the one under way */
#define ROUNDS %r15 /* double rounds left */
#define H0     %r8  /* the sum */
#define H1     %r9
#define H2     %r10
#define R0     %r11 /* what it is multiplied by */
#define R1     %r12
#define R1_5   %r13
#define A      %rax
#define B      %rbx
#define C      %rbp
#define D      %r14

#define STATE(i) PASS_STATE + 32 * i(PASS)
#define WORD_11  STATE(0) /* words 0 to 3 are constants and need no place of their own */
#define KEPT     STATE(1)

	.section .rodata
	.balign 32
.Lsigma: /* "expand 32-byte k" */
	.fill 8, 4, 0x61707865
	.fill 8, 4, 0x3320646e
	.fill 8, 4, 0x79622d32
	.fill 8, 4, 0x6b206574
.Lsequence:
	.long 0, 1, 2, 3, 4, 5, 6, 7
.Lrotate_16:
	.byte 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13
	.byte 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13
.Lrotate_8:
	.byte 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14
	.byte 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14
.Lclamp: /* the bits of r that count */
	.quad 0x0ffffffc0fffffff, 0x0ffffffc0ffffffc
.Lones_then_zeros:
	.quad -1, -1, 0, 0

/* ---- Poly1305: h = (h + m) * r mod 2^130 - 5, in radix 2^64 ----
 *
 * One step takes 16 bytes.  With h = h0 + h1 x + h2 x^2, x = 2^64, and r1_5 = r1 * 5 / 4 (r1 is a
 * multiple of four), which is what r1 * x^2 amounts to:
 *
 *	d0 = h0 r0 + h1 r1_5
 *	d1 = h0 r1 + h1 r0 + h2 r1_5
 *	d2 = h2 r0
 *
 * h2 stays below 8, so its products fit a register.  The step comes in seven parts, so that it
 * can be spread over the vector instructions of a round.
 */
	.macro STEP_1 offset
	add	\offset(DATA), H0
	adc	\offset + 8(DATA), H1
	adc	$1, H2
	MULTIPLY_1
	.endm

	.macro MULTIPLY_1
	mov	H0, %rdx
	mulx	R0, A, B
	mulx	R1, C, D
	.endm

	.macro STEP_2
	mov	H1, %rdx
	mulx	R1_5, H0, H1
	add	H0, A
	adc	H1, B
	.endm

	.macro STEP_3
	mulx	R0, H0, H1
	add	H0, C
	adc	H1, D
	.endm

	.macro STEP_4
	mov	H2, %rdx
	imul	R1_5, %rdx
	imul	R0, H2
	add	%rdx, C
	adc	H2, D
	.endm

	.macro STEP_5
	add	B, C
	adc	$0, D
	mov	D, H2
	.endm

	.macro STEP_6 /* what lies above 2^130 counts five times: D becomes (D / 4) * 5 */
	mov	D, H0
	and	$3, H2
	shr	$2, H0
	and	$-4, D
	.endm

	.macro STEP_7
	add	H0, D
	mov	A, H0
	mov	C, H1
	add	D, H0
	adc	$0, H1
	adc	$0, H2
	.endm

	.macro MULTIPLY
	MULTIPLY_1
	STEP_2
	STEP_3
	STEP_4
	STEP_5
	STEP_6
	STEP_7
	.endm

	.macro STEP offset
	add	\offset(DATA), H0
	adc	\offset + 8(DATA), H1
	adc	$1, H2
	MULTIPLY
	.endm

	.macro IDLE_1 offset
	.endm
	.irp	part, 2, 3, 4, 5, 6, 7
	.macro IDLE_\part
	.endm
	.endr

	.macro POLY_LOAD poly
	mov	POLY_H(\poly), H0
	mov	POLY_H + 8(\poly), H1
	mov	POLY_H + 16(\poly), H2
	mov	POLY_R(\poly), R0
	mov	POLY_R + 8(\poly), R1
	and	.Lclamp(%rip), R0
	and	.Lclamp + 8(%rip), R1
	mov	R1, R1_5
	shr	$2, R1_5
	add	R1, R1_5
	.endm

/* ---- ChaCha20 ---- */

	.macro ROTATE a, by
	vpslld	$\by, %ymm\a, %ymm11
	vpsrld	$32 - \by, %ymm\a, %ymm\a
	vpor	%ymm11, %ymm\a, %ymm\a
	.endm

/* c += d, b ^= c, in this order for word 11, whose value is in memory. */
	.macro ADD_TO_C b, c, d
	.if	\c == 11
	vpaddd	WORD_11, %ymm\d, %ymm11
	vmovdqa	%ymm11, WORD_11
	vpxor	%ymm11, %ymm\b, %ymm\b
	.else
	vpaddd	%ymm\d, %ymm\c, %ymm\c
	.endif
	.endm

	.macro XOR_TO_B b, c
	.if	\c != 11
	vpxor	%ymm\c, %ymm\b, %ymm\b
	.endif
	.endm

/* Half of two quarter rounds, in three parts. */
	.macro PAIR_1 a, b, c, d, e, f, g, h
	vpaddd	%ymm\b, %ymm\a, %ymm\a
	vpaddd	%ymm\f, %ymm\e, %ymm\e
	vpxor	%ymm\a, %ymm\d, %ymm\d
	vpxor	%ymm\e, %ymm\h, %ymm\h
	.endm

	.macro PAIR_2 shuffle, a, b, c, d, e, f, g, h
	vpshufb	\shuffle(%rip), %ymm\d, %ymm\d
	vpshufb	\shuffle(%rip), %ymm\h, %ymm\h
	ADD_TO_C \b, \c, \d
	ADD_TO_C \f, \g, \h
	XOR_TO_B \b, \c
	XOR_TO_B \f, \g
	.endm

	.macro PAIR_3 by, a, b, c, d, e, f, g, h
	ROTATE	\b, \by
	ROTATE	\f, \by
	.endm

/*
 * Four quarter rounds, of words a to d, e to h, i to l, m to p, with two steps of Poly1305 (poly is
 * STEP or IDLE).  The second pair of quarter rounds follows the first at a distance of one part,
 * because additions can use all three vector ports of an Intel core but shifts and shuffles only
 * two of them, not the same two: in step, all four would ask for shifts at once (5 % of the whole,
 * measured).
 */
	.macro ROUND poly, offset, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p
	PAIR_1	\a, \b, \c, \d, \e, \f, \g, \h
	\poly\()_1 \offset
	\poly\()_2
	PAIR_2	.Lrotate_16, \a, \b, \c, \d, \e, \f, \g, \h
	\poly\()_3
	PAIR_1	\i, \j, \k, \l, \m, \n, \o, \p
	\poly\()_4
	PAIR_3	12, \a, \b, \c, \d, \e, \f, \g, \h
	\poly\()_5
	PAIR_2	.Lrotate_16, \i, \j, \k, \l, \m, \n, \o, \p
	\poly\()_6
	PAIR_1	\a, \b, \c, \d, \e, \f, \g, \h
	\poly\()_7
	PAIR_3	12, \i, \j, \k, \l, \m, \n, \o, \p
	\poly\()_1 \offset+16
	PAIR_2	.Lrotate_8, \a, \b, \c, \d, \e, \f, \g, \h
	\poly\()_2
	PAIR_1	\i, \j, \k, \l, \m, \n, \o, \p
	\poly\()_3
	PAIR_3	7, \a, \b, \c, \d, \e, \f, \g, \h
	\poly\()_4
	PAIR_2	.Lrotate_8, \i, \j, \k, \l, \m, \n, \o, \p
	\poly\()_5
	\poly\()_6
	PAIR_3	7, \i, \j, \k, \l, \m, \n, \o, \p
	\poly\()_7
	.endm

/* First the columns, then the diagonals; word 11 in front, for its way through memory is longer. */
	.macro DOUBLE_ROUND poly
	ROUND	\poly,  0, 3, 7, 11, 15,  2, 6, 10, 14,  0, 4, 8, 12,  1, 5, 9, 13
	ROUND	\poly, 32, 1, 6, 11, 12,  0, 5, 10, 15,  2, 7, 8, 13,  3, 4, 9, 14
	.endm

/* ---- in and out ---- */

/*
 * Four times four words in each half of the registers change rows for columns: from a, b, c, d to
 * c, d, e, f.
 */
	.macro TRANSPOSE a, b, c, d, e, f
	vpunpckldq  %ymm\b, %ymm\a, %ymm\e
	vpunpckhdq  %ymm\b, %ymm\a, %ymm\f
	vpunpckldq  %ymm\d, %ymm\c, %ymm\a
	vpunpckhdq  %ymm\d, %ymm\c, %ymm\b
	vpunpcklqdq %ymm\a, %ymm\e, %ymm\c
	vpunpckhqdq %ymm\a, %ymm\e, %ymm\d
	vpunpcklqdq %ymm\b, %ymm\f, %ymm\e
	vpunpckhqdq %ymm\b, %ymm\f, %ymm\f
	.endm

/* Both halves of the keys of lanes i and i + 4. */
	.macro LOAD_KEYS i, low, high
	mov	\i * LANE_SIZE + LANE_KEY(PASS), A
	mov	(\i + 4) * LANE_SIZE + LANE_KEY(PASS), B
	vmovdqu	(A), %xmm\low
	vmovdqu	16(A), %xmm\high
	vinserti128 $1, (B), %ymm\low, %ymm\low
	vinserti128 $1, 16(B), %ymm\high, %ymm\high
	.endm

	.macro LOAD_TAIL i, to
	vmovdqa	\i * LANE_SIZE + LANE_TAIL(PASS), %xmm\to
	vinserti128 $1, (\i + 4) * LANE_SIZE + LANE_TAIL(PASS), %ymm\to, %ymm\to
	.endm

/*
 * 32 bytes of key stream, at offset in the block, for lanes i and i + 4: their first 16 bytes are
 * the halves of `first`, the others those of `second`.
 */
	.macro CRYPT to_i, to_i_4, first, second, temporary
	vperm2i128 $0x20, %ymm\second, %ymm\first, %ymm\temporary
	vperm2i128 $0x31, %ymm\second, %ymm\first, %ymm\first
	vpxor	\to_i, %ymm\temporary, %ymm\temporary
	vpxor	\to_i_4, %ymm\first, %ymm\first
	vmovdqu	%ymm\temporary, \to_i
	vmovdqu	%ymm\first, \to_i_4
	.endm

	.macro CRYPT_EACH i, offset, first, second, temporary
	mov	\i * LANE_SIZE + LANE_DATA(PASS), A
	mov	(\i + 4) * LANE_SIZE + LANE_DATA(PASS), B
	CRYPT	\offset(A), \offset(B), \first, \second, \temporary
	.endm

	.macro CRYPT_RUN i, offset, first, second, temporary /* A: the first lane's data */
	CRYPT	\i*64+\offset(A), \i*64+256+\offset(A), \first, \second, \temporary
	.endm

/* The state as it was is added to what the rounds made of it; that is the key stream. */
	.macro FINISH_FIRST crypt /* words 0 to 7; registers 11 and 15 are the temporaries */
	vmovdqa	%ymm15, KEPT
	vpaddd	.Lsigma(%rip), %ymm0, %ymm0
	vpaddd	.Lsigma + 32(%rip), %ymm1, %ymm1
	vpaddd	.Lsigma + 64(%rip), %ymm2, %ymm2
	vpaddd	.Lsigma + 96(%rip), %ymm3, %ymm3
	TRANSPOSE 0, 1, 2, 3, 11, 15
	.irp	i, 4, 5, 6, 7
	vpaddd	STATE(\i), %ymm\i, %ymm\i
	.endr
	TRANSPOSE 4, 5, 6, 7, 0, 1
	\crypt	0, 0, 2, 6, 4
	\crypt	1, 0, 3, 7, 5
	\crypt	2, 0, 11, 0, 4
	\crypt	3, 0, 15, 1, 5
	.endm

	.macro FINISH_SECOND crypt /* words 8 to 15 */
	vmovdqa	WORD_11, %ymm11
	vmovdqa	KEPT, %ymm15
	.irp	i, 8, 9, 10, 11, 12, 13, 14, 15
	vpaddd	STATE(\i), %ymm\i, %ymm\i
	.endr
	TRANSPOSE 8, 9, 10, 11, 0, 1
	TRANSPOSE 12, 13, 14, 15, 2, 3
	\crypt	0, 32, 10, 14, 4
	\crypt	1, 32, 11, 15, 5
	\crypt	2, 32, 0, 2, 4
	\crypt	3, 32, 1, 3, 5
	.endm

	.macro SAVE_REGISTERS
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	.cfi_adjust_cfa_offset 48
	.endm

	.macro RESTORE_REGISTERS
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	.cfi_adjust_cfa_offset -48
	.endm

	.text

/*
 * The end of a piece of work: at a packet's end, the steps that its last bytes and its length need,
 * and the tag; otherwise keep the sum.  Uses all but PASS, ROUNDS and the vectors.
 */
	.type	sum_end, @function
	.balign 32
sum_end:
	.cfi_startproc
	mov	PASS_AT(PASS), %rdx
	mov	WORK_END(%rdx), %rcx
	sub	$1, %rcx
	jb	.Lsum_goes_on
	and	$POLY_UNIT - 1, %ecx

	sub	$16, %ecx
	jb	.Lsum_part
.Lsum_step:
	STEP	0
	add	$16, DATA
	sub	$16, %ecx
	jae	.Lsum_step
.Lsum_part: /* bytes left: ecx + 16 */
	cmp	$-16, %ecx
	je	.Lsum_length
	movslq	%ecx, %rcx
	lea	.Lones_then_zeros(%rip), A
	sub	%rcx, A
	mov	(A), %rdx
	mov	8(A), B
	and	(DATA), %rdx
	and	8(DATA), B
	add	%rdx, H0
	adc	B, H1
	adc	$1, H2
	MULTIPLY
.Lsum_length: /* eight bytes for the additional data, of which there is none, and eight for ours */
	mov	PASS_AT(PASS), %rdx
	mov	WORK_END(%rdx), A
	sub	$1, A
	add	A, H1
	adc	$1, H2
	MULTIPLY

	/* h is below 2 p: if h + 5 reaches 2^130, h is p or more.  No branch: h is secret. */
	mov	H0, A
	mov	H1, B
	add	$5, A
	adc	$0, B
	adc	$0, H2
	cmp	$4, H2
	cmovae	A, H0
	cmovae	B, H1
	mov	PASS_AT(PASS), %rdx
	mov	WORK_POLY(%rdx), A
	add	POLY_S(A), H0
	adc	POLY_S + 8(A), H1
	mov	H0, POLY_TAG(A)
	mov	H1, POLY_TAG + 8(A)
	ret

.Lsum_goes_on:
	mov	WORK_POLY(%rdx), A
	mov	H0, POLY_H(A)
	mov	H1, POLY_H + 8(A)
	mov	H2, POLY_H + 16(A)
	ret
	.cfi_endproc
	.size	sum_end, . - sum_end

	.globl	aead_avx2_pass
	.hidden	aead_avx2_pass
	.type	aead_avx2_pass, @function
	.balign 64
aead_avx2_pass:
	.cfi_startproc
	SAVE_REGISTERS

	cmpq	$PASS_IS_RUN, PASS_KIND(PASS)
	je	.Lstate_of_run
	LOAD_KEYS 0, 0, 2
	LOAD_KEYS 1, 1, 3
	LOAD_KEYS 2, 4, 8
	LOAD_KEYS 3, 5, 9
	TRANSPOSE 0, 1, 4, 5, 6, 7
	TRANSPOSE 2, 3, 8, 9, 10, 11
	LOAD_TAIL 0, 0
	LOAD_TAIL 1, 1
	LOAD_TAIL 2, 12
	LOAD_TAIL 3, 13
	TRANSPOSE 0, 1, 12, 13, 14, 15
.Lstate_there:
	.irp	i, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovdqa	%ymm\i, STATE(\i)
	.endr
	vmovdqa	%ymm11, WORD_11
	vmovdqa	.Lsigma(%rip), %ymm0
	vmovdqa	.Lsigma + 32(%rip), %ymm1
	vmovdqa	.Lsigma + 64(%rip), %ymm2
	vmovdqa	.Lsigma + 96(%rip), %ymm3

	mov	$10, ROUNDS
	lea	PASS_WORK(PASS), %rdx
	jmp	.Lwork_begin

.Lstate_of_run:
	mov	LANE_KEY(PASS), A
	vpbroadcastd (A), %ymm4
	vpbroadcastd 4(A), %ymm5
	vpbroadcastd 8(A), %ymm6
	vpbroadcastd 12(A), %ymm7
	vpbroadcastd 16(A), %ymm8
	vpbroadcastd 20(A), %ymm9
	vpbroadcastd 24(A), %ymm10
	vpbroadcastd 28(A), %ymm11
	vpbroadcastd LANE_TAIL(PASS), %ymm12
	vpaddd	.Lsequence(%rip), %ymm12, %ymm12
	vpxor	%ymm13, %ymm13, %ymm13
	vpbroadcastd LANE_TAIL + 8(PASS), %ymm14
	vpbroadcastd LANE_TAIL + 12(PASS), %ymm15
	jmp	.Lstate_there

	.balign 64
.Lrounds_with_poly:
	DOUBLE_ROUND STEP
	add	$POLY_UNIT, DATA
	sub	$1, ROUNDS
	jz	.Lrounds_end
	sub	$1, UNITS
	jns	.Lrounds_with_poly

.Lwork_next:
	call	sum_end
	mov	PASS_AT(PASS), %rdx
	add	$WORK_SIZE, %rdx
.Lwork_begin:
	mov	%rdx, PASS_AT(PASS)
	mov	WORK_POLY(%rdx), A
	test	A, A
	jz	.Lrounds_alone
	mov	WORK_UNITS(%rdx), UNITS
	mov	WORK_DATA(%rdx), DATA
	POLY_LOAD A
	sub	$1, UNITS
	js	.Lwork_next
	jmp	.Lrounds_with_poly

	.balign 64
.Lrounds_alone:
	DOUBLE_ROUND IDLE
	sub	$1, ROUNDS
	jnz	.Lrounds_alone
	jmp	.Lfinish

.Lrounds_end: /* the work at hand ends, and there may be work without units behind it */
	call	sum_rest
.Lfinish:
	cmpq	$PASS_IS_RUN, PASS_KIND(PASS)
	je	.Lfinish_run
	FINISH_FIRST CRYPT_EACH
	cmpq	$PASS_IS_KEYS, PASS_KIND(PASS)
	je	.Lfinished
	FINISH_SECOND CRYPT_EACH
.Lfinished:
	RESTORE_REGISTERS
	ret
.Lfinish_run:
	.cfi_adjust_cfa_offset 48
	mov	LANE_DATA(PASS), A
	FINISH_FIRST CRYPT_RUN
	FINISH_SECOND CRYPT_RUN
	RESTORE_REGISTERS
	ret
	.cfi_endproc
	.size	aead_avx2_pass, . - aead_avx2_pass

/* What is left of the list: UNITS of the work at hand, which is loaded, and all that follows. */
	.type	sum_rest, @function
	.balign 32
sum_rest:
	.cfi_startproc
	sub	$1, UNITS
	js	.Lrest_next
.Lrest_unit:
	.irp	offset, 0, 16, 32, 48
	STEP	\offset
	.endr
	add	$POLY_UNIT, DATA
	sub	$1, UNITS
	jns	.Lrest_unit
.Lrest_next:
	call	sum_end
	mov	PASS_AT(PASS), %rdx
	add	$WORK_SIZE, %rdx
.Lrest_begin:
	mov	%rdx, PASS_AT(PASS)
	mov	WORK_POLY(%rdx), A
	test	A, A
	jz	.Lrest_end
	mov	WORK_UNITS(%rdx), UNITS
	mov	WORK_DATA(%rdx), DATA
	POLY_LOAD A
	sub	$1, UNITS
	jns	.Lrest_unit
	jmp	.Lrest_next
.Lrest_end:
	ret
	.cfi_endproc
	.size	sum_rest, . - sum_rest

	.globl	aead_avx2_sum
	.hidden	aead_avx2_sum
	.type	aead_avx2_sum, @function
	.balign 32
aead_avx2_sum:
	.cfi_startproc
	SAVE_REGISTERS
	lea	PASS_WORK(PASS), %rdx
	call	.Lrest_begin
	RESTORE_REGISTERS
	ret
	.cfi_endproc
	.size	aead_avx2_sum, . - aead_avx2_sum

#endif
	.section .note.GNU-stack, "", @progbits
