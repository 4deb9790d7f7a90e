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
#define UNITS  %rcx /* left of it, after the next */
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
.Lrotate_16:
	.byte 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13
	.byte 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13
.Lrotate_8:
	.byte 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14
	.byte 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14

/* ---- Poly1305: h = (h + m) * r mod 2^130 - 5, in radix 2^64 ----
 *
 * One step takes 16 bytes.  With h = h0 + h1 x + h2 x^2, x = 2^64, and r1_5 = r1 * 5 / 4 (r1 is a
 * multiple of four), which is what r1 * x^2 amounts to:
 *
 *	d0 = h0 r0 + h1 r1_5
 *	d1 = h0 r1 + h1 r0 + h2 r1_5
 *	d2 = h2 r0
 *
 * h2 stays below 8, so its products fit a register.  The step comes in four parts, so that it
 * can be spread over the vector instructions of half a round.
 */
	.macro STEP_1 offset
	add	\offset(DATA), H0
	adc	\offset + 8(DATA), H1
	adc	$1, H2
	mov	H0, %rdx
	mulx	R0, A, B
	mulx	R1, C, D
	.endm

	.macro STEP_2 offset
	mov	H1, %rdx
	mulx	R1_5, H0, H1
	add	H0, A
	adc	H1, B
	mulx	R0, H0, H1
	add	H0, C
	adc	H1, D
	.endm

	.macro STEP_3
	mov	H2, %rdx
	imul	R1_5, %rdx
	imul	R0, H2
	add	%rdx, C
	adc	H2, D
	add	B, C
	adc	$0, D
	.endm

	.macro STEP_4 /* what lies above 2^130 counts five times */
	mov	D, H2
	mov	D, H0
	and	$3, H2
	shr	$2, H0
	and	$-4, D
	add	H0, D
	mov	A, H0
	mov	C, H1
	add	D, H0
	adc	$0, H1
	adc	$0, H2
	.endm

	.macro IDLE_1 offset
	.endm
	.macro IDLE_2 offset
	.endm
	.macro IDLE_3
	.endm
	.macro IDLE_4
	.endm

	.macro POLY_LOAD poly /* may be A or %rdx */
	mov	POLY_H(\poly), H0
	mov	POLY_H + 8(\poly), H1
	mov	POLY_H + 16(\poly), H2
	mov	POLY_R(\poly), R0
	mov	POLY_R + 8(\poly), R1
	mov	POLY_5R1(\poly), R1_5
	.endm

	.macro POLY_STORE poly
	mov	H0, POLY_H(\poly)
	mov	H1, POLY_H + 8(\poly)
	mov	H2, POLY_H + 16(\poly)
	.endm

/* ---- ChaCha20 ---- */

	.macro ADD4 a, b, c, d, e, f, g, h
	vpaddd	%ymm\b, %ymm\a, %ymm\a
	vpaddd	%ymm\d, %ymm\c, %ymm\c
	vpaddd	%ymm\f, %ymm\e, %ymm\e
	vpaddd	%ymm\h, %ymm\g, %ymm\g
	.endm

	.macro XOR4 a, b, c, d, e, f, g, h
	vpxor	%ymm\b, %ymm\a, %ymm\a
	vpxor	%ymm\d, %ymm\c, %ymm\c
	vpxor	%ymm\f, %ymm\e, %ymm\e
	vpxor	%ymm\h, %ymm\g, %ymm\g
	.endm

	.macro SHUFFLE4 by, a, b, c, d
	vpshufb	\by(%rip), %ymm\a, %ymm\a
	vpshufb	\by(%rip), %ymm\b, %ymm\b
	vpshufb	\by(%rip), %ymm\c, %ymm\c
	vpshufb	\by(%rip), %ymm\d, %ymm\d
	.endm

	.macro ROTATE a, by
	vpslld	$\by, %ymm\a, %ymm11
	vpsrld	$32 - \by, %ymm\a, %ymm\a
	vpor	%ymm11, %ymm\a, %ymm\a
	.endm

/*
 * Half of four quarter rounds, with one step of Poly1305 (poly is STEP or IDLE).  The fourth
 * quarter round is the one whose c is word 11; it goes first where its c is needed, so that the
 * way through memory is hidden behind the others.
 */
	.macro HALF poly, offset, shuffle, by, a0, b0, c0, d0, a1, b1, c1, d1, a2, b2, c2, d2, a3, b3, d3
	ADD4	\a3, \b3, \a0, \b0, \a1, \b1, \a2, \b2
	\poly\()_1 \offset
	XOR4	\d3, \a3, \d0, \a0, \d1, \a1, \d2, \a2
	SHUFFLE4 \shuffle, \d3, \d0, \d1, \d2
	\poly\()_2 \offset
	vpaddd	WORD_11, %ymm\d3, %ymm11
	vpaddd	%ymm\d0, %ymm\c0, %ymm\c0
	vpaddd	%ymm\d1, %ymm\c1, %ymm\c1
	vpaddd	%ymm\d2, %ymm\c2, %ymm\c2
	vmovdqa	%ymm11, WORD_11
	XOR4	\b3, 11, \b0, \c0, \b1, \c1, \b2, \c2
	\poly\()_3
	ROTATE	\b3, \by
	ROTATE	\b0, \by
	\poly\()_4
	ROTATE	\b1, \by
	ROTATE	\b2, \by
	.endm

	.macro DOUBLE_ROUND poly
	HALF	\poly,  0, .Lrotate_16, 12, 0, 4, 8, 12,  1, 5, 9, 13,  2, 6, 10, 14,  3, 7, 15
	HALF	\poly, 16, .Lrotate_8,   7, 0, 4, 8, 12,  1, 5, 9, 13,  2, 6, 10, 14,  3, 7, 15
	HALF	\poly, 32, .Lrotate_16, 12, 0, 5, 10, 15,  2, 7, 8, 13,  3, 4, 9, 14,  1, 6, 12
	HALF	\poly, 48, .Lrotate_8,   7, 0, 5, 10, 15,  2, 7, 8, 13,  3, 4, 9, 14,  1, 6, 12
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
	.macro CRYPT i, offset, first, second, temporary
	mov	\i * LANE_SIZE + LANE_DATA(PASS), A
	mov	(\i + 4) * LANE_SIZE + LANE_DATA(PASS), B
	vperm2i128 $0x20, %ymm\second, %ymm\first, %ymm\temporary
	vperm2i128 $0x31, %ymm\second, %ymm\first, %ymm\first
	vpxor	\offset(A), %ymm\temporary, %ymm\temporary
	vpxor	\offset(B), %ymm\first, %ymm\first
	vmovdqu	%ymm\temporary, \offset(A)
	vmovdqu	%ymm\first, \offset(B)
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
	.globl	aead_avx2_pass
	.hidden	aead_avx2_pass
	.type	aead_avx2_pass, @function
	.balign 64
aead_avx2_pass:
	.cfi_startproc
	SAVE_REGISTERS

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

	.balign 64
.Lrounds_with_poly:
	DOUBLE_ROUND STEP
	add	$POLY_UNIT, DATA
	sub	$1, ROUNDS
	jz	.Lwork_end
	sub	$1, UNITS
	jns	.Lrounds_with_poly

	mov	PASS_AT(PASS), %rdx
	mov	WORK_POLY(%rdx), A
	POLY_STORE A
	add	$WORK_SIZE, %rdx
.Lwork_begin:
	mov	%rdx, PASS_AT(PASS)
	mov	WORK_UNITS(%rdx), UNITS
	mov	WORK_POLY(%rdx), A
	mov	WORK_DATA(%rdx), DATA
	sub	$1, UNITS
	js	.Lrounds_alone
	POLY_LOAD A
	jmp	.Lrounds_with_poly

	.balign 64
.Lrounds_alone:
	DOUBLE_ROUND IDLE
	sub	$1, ROUNDS
	jnz	.Lrounds_alone
	jmp	.Lfinish

.Lwork_end:
	mov	PASS_AT(PASS), %rdx
	mov	WORK_POLY(%rdx), A
	POLY_STORE A

.Lfinish:
	/* First halves of the blocks: words 0 to 7.  Registers 11 and 15 are the temporaries. */
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
	CRYPT	0, 0, 2, 6, 4
	CRYPT	1, 0, 3, 7, 5
	CRYPT	2, 0, 11, 0, 4
	CRYPT	3, 0, 15, 1, 5

	/* Second halves. */
	vmovdqa	WORD_11, %ymm11
	vmovdqa	KEPT, %ymm15
	.irp	i, 8, 9, 10, 11, 12, 13, 14, 15
	vpaddd	STATE(\i), %ymm\i, %ymm\i
	.endr
	TRANSPOSE 8, 9, 10, 11, 0, 1
	TRANSPOSE 12, 13, 14, 15, 2, 3
	CRYPT	0, 32, 10, 14, 4
	CRYPT	1, 32, 11, 15, 5
	CRYPT	2, 32, 0, 2, 4
	CRYPT	3, 32, 1, 3, 5

	RESTORE_REGISTERS
	ret
	.cfi_endproc
	.size	aead_avx2_pass, . - aead_avx2_pass

	.globl	aead_avx2_poly
	.hidden	aead_avx2_poly
	.type	aead_avx2_poly, @function
	.balign 64
aead_avx2_poly: /* struct poly, data, n_units */
	.cfi_startproc
	SAVE_REGISTERS
	mov	%rdx, UNITS
	POLY_LOAD PASS
	test	UNITS, UNITS
	jz	.Lpoly_end
	.balign 32
.Lpoly:
	.irp	offset, 0, 16, 32, 48
	STEP_1	\offset
	STEP_2	\offset
	STEP_3
	STEP_4
	.endr
	add	$POLY_UNIT, DATA
	sub	$1, UNITS
	jnz	.Lpoly
.Lpoly_end:
	POLY_STORE PASS
	RESTORE_REGISTERS
	ret
	.cfi_endproc
	.size	aead_avx2_poly, . - aead_avx2_poly

#endif
	.section .note.GNU-stack, "", @progbits
