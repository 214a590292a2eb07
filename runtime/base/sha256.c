/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4) and a fast checksum. The launcher links no library; one record a job needs no speed. */
#include "base.h"

#include <string.h>

static const uint32_t k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotr(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

static void block(uint32_t state[static 8], const uint8_t *p)
{
	uint32_t w[64], s[8];
	for (size_t i = 0; i < 16; i++, p += 4)
		w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	for (size_t i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];
		w[i] = w[i - 16] + (rotr(a, 7) ^ rotr(a, 18) ^ a >> 3) + w[i - 7];
		w[i] += rotr(b, 17) ^ rotr(b, 19) ^ b >> 10;
	}
	memcpy(s, state, sizeof(s));
	/* The words stay, their names go round: in round i, word n of the standard is at (n - i) mod 8. */
	for (size_t i = 0; i < 64; i++) {
		uint32_t a = s[(0 - i) % 8], b = s[(1 - i) % 8], c = s[(2 - i) % 8];
		uint32_t x = s[(4 - i) % 8], y = s[(5 - i) % 8], z = s[(6 - i) % 8], *last = &s[(7 - i) % 8];
		uint32_t t1 = *last + (rotr(x, 6) ^ rotr(x, 11) ^ rotr(x, 25)) + ((x & y) ^ (~x & z)) + k[i] + w[i];
		s[(3 - i) % 8] += t1;
		*last = t1 + (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
	}
	for (size_t i = 0; i < 8; i++)
		state[i] += s[i];
}

void nb_sha256_init(nb_sha256 *h)
{
	static const uint32_t start[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
					   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
	memcpy(h->state, start, sizeof(start));
	h->bytes = 0;
}

void nb_sha256_add(nb_sha256 *h, const void *data, size_t n)
{
	const uint8_t *p = data;
	while (n > 0) {
		size_t at = (size_t)(h->bytes % 64), take = 64 - at < n ? 64 - at : n;
		if (take == 64) {
			block(h->state, p);
		} else {
			memcpy(h->block + at, p, take);
			if (at + take == 64)
				block(h->state, h->block);
		}
		h->bytes += take;
		p += take;
		n -= take;
	}
}

void nb_sha256_end(nb_sha256 *h, uint8_t out[static 32])
{
	static const uint8_t pad[64] = { 0x80 };
	uint64_t bits = h->bytes * 8;
	uint8_t length[8];
	for (size_t i = 0; i < 8; i++)
		length[i] = (uint8_t)(bits >> (56 - 8 * i));
	nb_sha256_add(h, pad, 1 + (119 - (size_t)(h->bytes % 64)) % 64);
	nb_sha256_add(h, length, 8);
	for (size_t i = 0; i < 32; i++)
		out[i] = (uint8_t)(h->state[i / 4] >> (24 - 8 * (i % 4)));
}

void nb_sha256_of(const void *data, size_t n, uint8_t out[static 32])
{
	nb_sha256 h;
	nb_sha256_init(&h);
	nb_sha256_add(&h, data, n);
	nb_sha256_end(&h, out);
}

void nb_hex(const uint8_t *bytes, size_t n, char *out)
{
	static const char digit[] = "0123456789abcdef";
	for (size_t i = 0; i < n; i++) {
		*out++ = digit[bytes[i] >> 4];
		*out++ = digit[bytes[i] & 15];
	}
	*out = '\0';
}

uint64_t nb_checksum64(const void *data, size_t n)
{
	const uint8_t *p = data;
	uint64_t h = 0x9e3779b97f4a7c15u ^ n, word;
	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&word, p, 8);
		h = (h ^ word) * 0xff51afd7ed558ccdu;
		h ^= h >> 32;
	}
	for (; n > 0; n--, p++) {
		h = (h ^ *p) * 0xff51afd7ed558ccdu;
		h ^= h >> 32;
	}
	return h ^ h >> 29;
}
